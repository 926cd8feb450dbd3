# Preflight. `make` alone explains the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv/bin
VAR := $(or $(PORTAL_VAR),var)
# A portal on one machine speaks plain HTTP to its own browser, whatever database it uses.
run setup: export LOCAL_MODE := $(or $(LOCAL_MODE),1)

.PHONY: help run setup db stop logs reset password test lint chaos bench lock sslyze bootstrap bootstrap-dev

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: bootstrap ## Start the portal: database, web and workers, until Ctrl-C (PORT=8000, BIND=127.0.0.1, DEMO=0)
	@exec $(VENV)/python manage.py run

setup: bootstrap ## Prepare without serving: .venv, database, migrations
	@exec $(VENV)/python manage.py run --prepare-only

db: bootstrap ## Start the private database in the background
	@exec $(VENV)/python manage.py db

stop: bootstrap ## Stop a running portal and its database
	@exec $(VENV)/python -m portal.teardown stop

logs: ## Follow the logs
	@exec tail -n 20 -F $(VAR)/log/*.log

reset: bootstrap ## Delete database, keys, backups and logs (asks first)
	@exec $(VENV)/python -m portal.teardown reset

password: bootstrap ## Set a new password for the first administrator and show it once
	@exec $(VENV)/python manage.py password

test: ## Run everything: lint, types, contracts, unit, integration and end-to-end tests
	@$(PYTHON) portal/bootstrap.py --dev --test-tools
	@$(MAKE) --no-print-directory sslyze
	@$(MAKE) --no-print-directory lint
# The faults wait more than they work (for silences, leases, locks), so they run beside the rest, on a cluster of their own.
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(VENV)/python -m pytest tests/faults > "$$log" 2>&1 & faults=$$!; \
	$(VENV)/python -m pytest --ignore=tests/faults; rest=$$?; \
	wait $$faults; killed=$$?; cat "$$log"; \
	[ $$rest -eq 0 ] && [ $$killed -eq 0 ]

lint: bootstrap-dev ## Check style, security rules, types, templates and import contracts
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/djlint templates --check --quiet
	$(VENV)/djlint templates --lint --quiet
	$(VENV)/lint-imports

chaos: bootstrap-dev ## Kill real processes, twenty times over
	CHAOS_KILLS=20 $(VENV)/python -m pytest tests/faults

bench: bootstrap-dev ## Measure every promise about speed beside its floor or peer (ONLY=http)
	$(VENV)/python -m bench $(ONLY)

lock: ## Pin the requirements again, with hashes (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.txt
	uv pip compile pyproject.toml --extra s3 --extra gcs --extra azure --extra sftp -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-stores.txt
	uv pip compile --group pyproject.toml:embedded --universal --python-version 3.11 --generate-hashes --no-header -o requirements-embedded.txt
	uv pip compile --group pyproject.toml:sslyze --universal --python-version 3.11 --generate-hashes --no-header -o requirements-sslyze.txt
	uv pip compile --group pyproject.toml:bugsink --universal --python-version 3.11 --generate-hashes --no-header -o requirements-bugsink.txt
	uv pip compile --group pyproject.toml:dev -c requirements.txt -c requirements-stores.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-dev.txt

sslyze: .venv-sslyze/installed ## Install sslyze for `manage.py probe tls --deep`, in an environment of its own

.venv-sslyze/installed: requirements-sslyze.txt
	@$(MAKE) --no-print-directory bootstrap
	@$(VENV)/python -m venv --clear .venv-sslyze
	@.venv-sslyze/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

bootstrap:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: apt install python3 python3-venv"; exit 2; }
	@$(PYTHON) portal/bootstrap.py

bootstrap-dev:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: apt install python3 python3-venv"; exit 2; }
	@$(PYTHON) portal/bootstrap.py --dev

"""Holds the documentation to the code: settings, commands, targets, links, paths and the figures it names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

from portal import jobs, supervisor
from readiness.checklists.template import load_template
from readiness.checklists.template_values import Kind, Severity
from readiness.checklists.verification import RULES, is_verified_by_facts
from readiness.probes import headers, http, postgres, schedule, tls_judgement
from readiness.probes.base import ErrorReason, FailReason

PROJECT = Path(__file__).resolve().parent.parent
CONFIGURATION = PROJECT / "docs" / "reference" / "configuration.md"
# Read by make, the first start and gunicorn, not by the settings.
READ_ELSEWHERE = {"PYTHON", "DEMO", "WEB_CONCURRENCY", "PORTAL_PG_SEARCH"}
# Set by the portal for its own processes, or somebody else's words.
NOT_OURS = {"PREFLIGHT_RUN_ID", "Q_CLUSTER_NAME", "DJANGO_SETTINGS_MODULE", "PATH", "PGHOST", "PGPORT"}
ROW = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| (?P<kind>[^|]+) \| (?P<default>[^|]+) \|", re.MULTILINE)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
# Where people and this project's own machines keep their clones.
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:work|Users|root|home(?!/linuxbrew))/\w+")
REGISTRIES = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("ghcr", "io"),
    ("docker", "io"),
    ("crates", "io"),
    ("rubygems", "org"),
    ("proxy.golang", "org"),
)
READS_ENVIRONMENT = re.compile(r"os\.environ(?:\.get\(|\[)\"(?P<name>[A-Z_]+)\"")


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows and that are still there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    return [path for name in listed.split("\0") if name and (path := PROJECT / name).is_file()]


PAGES = tracked("*.md")


def read_declared(**environment: str) -> dict[str, tuple[str, str]]:
    """What the settings read in an environment of our own: name -> (kind, default in words)."""
    script = (
        "import json; from portal.settings import env; "
        "print(json.dumps({one.name: [one.kind, one.default] for one in env.declared.values()}))"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PORTAL_VAR")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=kept | environment, capture_output=True, text=True, check=True
    )
    return {name: (kind, default) for name, (kind, default) in json.loads(done.stdout).items()}


def plain(cell: str) -> str:
    return cell.replace("`", "").strip()


def test_it_lists_every_setting_with_its_type_and_default() -> None:
    deployed = read_declared(DATABASE_URL="postgresql://nobody@localhost/nothing", SECRET_KEY="not a secret")
    declared = deployed | read_declared()
    table = CONFIGURATION.read_text(encoding="utf-8").partition("## Read elsewhere")[0]
    documented = {row["name"]: (row["kind"].strip(), plain(row["default"])) for row in ROW.finditer(table)}
    assert documented == {name: (kind, plain(default)) for name, (kind, default) in declared.items()}


def test_it_lists_what_is_read_beside_the_settings() -> None:
    elsewhere = CONFIGURATION.read_text(encoding="utf-8").partition("## Read elsewhere")[2]
    assert {row["name"] for row in ROW.finditer(elsewhere)} == READ_ELSEWHERE
    code = [
        path for path in tracked("*.py") if path.relative_to(PROJECT).parts[0] in {"portal", "readiness", "backups"}
    ]
    read = {match["name"] for path in code for match in READS_ENVIRONMENT.finditer(path.read_text(encoding="utf-8"))}
    assert read - NOT_OURS <= READ_ELSEWHERE | set(read_declared())


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_it_links_only_to_what_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    broken = []
    for target in (match["target"] for match in LINK.finditer(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists() or (anchor and anchor not in list_anchors(file)):
            broken.append(target)
    assert broken == []


def list_anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_it_names_only_targets_and_commands_that_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    |\| )make ([a-z-]+)", text, re.MULTILINE))
    assert named <= targets
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())


def test_it_documents_every_command_and_target_of_ours() -> None:
    text = (PROJECT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    ours = {name for name, app in get_commands().items() if app in {"portal", "readiness", "backups"}}
    assert {name for name in ours if f"manage.py {name}" not in text} == set()
    explained = re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name in explained if f"make {name}" not in text} == {"help"}


def test_it_names_only_paths_that_exist_in_the_architecture() -> None:
    text = (PROJECT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:portal|readiness|backups|templates|static|tests|docs)/[\w./]*)`", text))
    assert len(named) > 60
    assert {path for path in named if not (PROJECT / path).exists()} == set()


def test_it_names_every_package_in_the_architecture() -> None:
    text = (PROJECT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.relative_to(PROJECT).as_posix() for path in tracked("*/__init__.py")}
    ours = {name for name in packages if name.split("/")[0] in {"portal", "readiness", "backups"}}
    unnamed = {name for name in ours if not re.search(rf"`{name}(?:/[\w./]*)?`|^### {name}\b", text, re.MULTILINE)}
    assert {name for name in unnamed if "migrations" not in name and "management" not in name} == set()


def test_it_names_every_reason_of_a_probe() -> None:
    text = (PROJECT / "docs" / "reference" / "probes.md").read_text(encoding="utf-8")
    reasons = {*map(str, ErrorReason), *map(str, FailReason), *tls_judgement.FAILURES}
    assert {reason for reason in reasons if f"`{reason}`" not in text} == set()


def test_it_has_a_section_for_every_kind_of_probe() -> None:
    text = (PROJECT / "docs" / "reference" / "probes.md").read_text(encoding="utf-8")
    assert {kind for kind in settings.READINESS_PROBES if f"\n## {kind}\n" not in text} == set()


ITEMS = load_template().items
FIGURES = {
    "docs/explanation/verdict.md": (
        f"The template has {sum(item.kind is Kind.AUTOMATIC for item in ITEMS)} automatic items. "
        f"For {sum(map(is_verified_by_facts, ITEMS))} of them",
        f"The template has {sum(item.severity is Severity.MUST for item in ITEMS)} must items.",
        f"at most {settings.PROVEN_BACKUP_MAX_AGE_DAYS} days old",
        "older than twice its interval" if schedule.STALE_AFTER_INTERVALS == 2 else "",
    ),
    "docs/explanation/jobs.md": (
        f"Every {supervisor.HEARTBEAT_SECONDS} seconds",
        f"none for {supervisor.SILENCE_SECONDS} seconds",
        f"at most {supervisor.LONGEST_BACK_OFF_SECONDS} seconds",
        f"for {jobs.ALIVE_SECONDS} seconds",
        f"a lease of {settings.BACKUP_LEASE_SECONDS} seconds",
    ),
    "docs/how-to/deploy.md": (f"for {supervisor.STOP_SECONDS} seconds",),
    "docs/reference/configuration.md": (f"at most {(settings.DEFAULT_TIMEOUT_SECONDS - 11) // 2}",),
    "docs/reference/probes.md": (
        f"from {http.SLOW_MS / 1000:g} s warn, from {http.TOO_SLOW_MS / 1000:g} s fail",
        f"From {headers.PASS_SCORE} (A-) it passes, from {headers.WARN_SCORE} (B-) it warns",
        f"days left: {max(tls_judgement.EXPIRES_SOON_DAYS)} and less warn",
        f"more than {tls_judgement.MAX_LIFETIME_DAYS} days",
        f"from {postgres.FULL_PERCENT:g} % warn, from {postgres.TOO_FULL_PERCENT:g} % fail",
        f"from {postgres.SLOW_ROUND_TRIP_MS / 1000:g} s warn, from {postgres.TOO_SLOW_ROUND_TRIP_MS / 1000:g} s fail",
        f"less than {postgres.END_OF_LIFE_WARNING_DAYS} days warn",
        f"from {postgres.OLD_TRANSACTION_SECONDS / 60:g} min warn, "
        f"from {postgres.TOO_OLD_TRANSACTION_SECONDS / 60:g} min fail",
    ),
    "CHANGELOG.md": (f"checklist with {len(ITEMS)} items",),
}


@pytest.mark.parametrize(("name", "sentences"), FIGURES.items(), ids=FIGURES)
def test_it_names_the_figures_of_the_code(name: str, sentences: tuple[str, ...]) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert [sentence for sentence in sentences if not sentence or sentence not in text] == []


def test_it_counts_only_rules_that_items_use() -> None:
    assert {item.rule for item in ITEMS if item.rule in RULES} == set(RULES)


def test_it_holds_no_path_of_a_developers_machine_and_no_registry() -> None:
    # In two parts each, because this file is read too.
    hosts = [".".join(parts) for parts in REGISTRIES]
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        name = path.relative_to(PROJECT).as_posix()
        found += [f"{name}: {host}" for host in hosts if host in text]
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []

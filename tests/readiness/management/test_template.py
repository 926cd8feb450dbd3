"""`manage.py template`: what scripts list, take and give back, and what is refused with which exit status."""

from __future__ import annotations

import io
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from readiness.checklists import template_store
from readiness.checklists.assigned_template import read_version
from readiness.checklists.template import load_template, parse_template
from readiness.models import ChecklistTemplate, Environment, TemplateVersion
from tests.readiness.checklists.test_template import BARE

DOCUMENT = Path(__file__).parents[2] / "data" / "go-live-checklist.de.md"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of the command."""
    stdout, stderr = StringIO(), StringIO()
    status = 0
    try:
        call_command("template", *arguments, stdout=stdout, stderr=stderr)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A file with a small template."""
    path = tmp_path / "bare.toml"
    path.write_text(BARE, encoding="utf-8")
    return str(path)


@pytest.mark.django_db
def test_it_imports_publishes_and_lists(bare: str, shop: Environment) -> None:
    assert run("import", bare) == (0, "bare: 1 item in 1 section, version 1 is a draft\n", "")
    assert run("import", bare, "--key", "other", "--name", "Other", "--publish")[:2] == (
        0,
        "other: 1 item in 1 section, version 1 is published\n",
    )
    template_store.switch_template(shop, TemplateVersion.objects.get(template__key="other"), by=None)

    assert run("list")[1].splitlines() == [
        "go-live 1: shipped, followed by 0, Go-live checklist",
        "bare 1: draft, followed by 0, Bare",
        "other 1: published, followed by 1, Other",
    ]
    lines = [json.loads(line) for line in run("list", "--json")[1].splitlines()]
    assert lines[2] == {"key": "other", "name": "Other", "number": 1, "state": "published", "environments": 1}


@pytest.mark.django_db
def test_it_imports_the_next_version(bare: str) -> None:
    run("import", bare, "--publish")

    assert run("import", bare)[1] == "bare: 1 item in 1 section, version 2 is a draft\n"
    status, stdout, stderr = run("import", bare)
    assert (status, stdout) == (2, "")
    assert stderr == "Bare has a draft already: publish or delete it first.\n"


@pytest.mark.django_db
def test_it_imports_a_document() -> None:
    status, stdout, _ = run("import", str(DOCUMENT), "--name", "Vor dem Start", "--publish")

    assert (status, stdout) == (0, "vor-dem-start: 28 items in 4 sections, version 1 is published\n")
    assert len(read_version(TemplateVersion.objects.get()).items) == 28


@pytest.mark.django_db
def test_it_exports_what_it_can_take_back(bare: str) -> None:
    run("import", bare, "--publish")

    assert parse_template(run("export", "bare")[1], "bare") == parse_template(BARE, "bare")
    assert parse_template(run("export", "go-live")[1], "go-live") == load_template()
    markdown = run("export", "go-live", "--format", "markdown", "--language", "de")[1]
    assert markdown.count("\n- [ ] ") == len(load_template().items)
    assert "- [ ] Database erstellt\n" in markdown


@pytest.mark.django_db
def test_it_reads_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("- [ ] One\n- [ ] Two\n"))

    assert run("import", "-", "--format", "markdown", "--name", "Mine")[1].startswith("mine: 2 items")


def test_it_checks_a_file_without_a_database(bare: str) -> None:
    assert run("check", bare) == (0, "bare: 1 item in 1 section, nothing is wrong with it\n", "")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('severity = "must"', 'severity = "urgent"', 'item "people.ruth": severity "urgent" is not one of must'),
        ('severity = "must"', "severity =", "is not valid TOML: Invalid value (at line "),
        ('kind = "manual"', 'kind = "automatic"\nrule = "no.such"', 'names the rule "no.such", which nothing verifies'),
        ('section = "people"', 'section = "others"', 'item "people.ruth" is in the unknown section "others"'),
    ],
)
def test_it_says_what_is_wrong_with_a_file(bare: str, old: str, new: str, sentence: str) -> None:
    Path(bare).write_text(BARE.replace(old, new), encoding="utf-8")

    status, stdout, stderr = run("check", bare)

    assert (status, stdout) == (1, "")
    assert sentence in stderr
    assert stderr.count("\n") == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["export", "no-such"], 2, "There is no published template 'no-such'; there are: go-live."),
        (["export", "go-live", "--number", "9"], 2, "There is no published version 9 of a template 'go-live'"),
        (["import", "/no/such/file"], 2, "The file /no/such/file cannot be read: No such file or directory."),
        (["import", str(DOCUMENT)], 2, "Give a checklist that is made of Markdown a name"),
        (["import", str(DOCUMENT), "--name", "🚨"], 2, "Give a key"),
        (["import", str(DOCUMENT), "--name", "x", "--key", "go-live"], 2, "is taken by the portal itself"),
        (["import", str(DOCUMENT), "--name", "x", "--key", "A b"], 2, "Use lower-case letters, digits"),
        (["import", __file__, "--format", "markdown", "--name", "x"], 1, "There is no task list in this text"),
    ],
)
def test_it_refuses_with_one_sentence(arguments: list[str], status: int, sentence: str) -> None:
    found, stdout, stderr = run(*arguments)

    assert (found, stdout) == (status, "")
    assert sentence in stderr
    assert stderr.count("\n") == 1
    assert not ChecklistTemplate.objects.exists()


@pytest.mark.django_db
def test_it_publishes_nothing_unfinished(bare: str) -> None:
    Path(bare).write_text(BARE[: BARE.index("[[item]]")], encoding="utf-8")

    assert run("import", bare, "--publish")[0] == 1
    assert not ChecklistTemplate.objects.exists()
    assert run("import", bare)[0] == 0

"""Documents with task lists become templates with all of their tasks, and templates become such documents."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.checklists.template import Severity, Template, load_template, parse_template
from readiness.checklists.template_tasks import TaskListError, read_task_list, write_task_list
from readiness.checklists.template_writer import write_template

DOCUMENT = Path(__file__).parents[2] / "data" / "go-live-checklist.de.md"


def read(source: str) -> Template:
    """The template of a document, which has survived being stored."""
    template = read_task_list(source, "own", "Own list")
    assert parse_template(write_template(template), "own") == template
    return template


def outline(template: Template) -> list[tuple[str, list[str]]]:
    return [(section.title.en, [item.title.en for item in items]) for section, items in template.items_by_section()]


def test_it_makes_an_item_of_every_task_of_the_source_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    # Counted by hand of a simpler reader: a box is a task, and a box with a deeper one below it names a group.
    boxes = [(len(match[1]), match[2]) for match in re.finditer(r"^( *)- \[ \] (.+)$", text, re.MULTILINE)]
    groups = [words for (depth, words), (below, _) in pairwise(boxes) if below > depth]
    tasks = [words for _, words in boxes if words not in groups]
    assert (len(boxes), len(groups), len(tasks)) == (32, 4, 28)

    template = read(text)

    assert [section.title.en for section in template.sections] == [words.strip("*") for words in groups]
    assert [item.title.en for item in template.items] == [words.replace("`", "") for words in tasks]
    assert [len(items) for _, items in template.items_by_section()] == [7, 7, 8, 6]
    assert len({item.key for item in template.items}) == 28
    assert all(item.kind.value == "manual" and item.severity is Severity.MUST for item in template.items)


def test_it_makes_sections_of_headings() -> None:
    template = read(
        "# Plan\n\n## Before\n\nIn time.\n\n- [ ] One\n- [x] Two\n\n## After:\n* [ ] Three\n\n## Empty\n\nNo.\n"
    )

    assert outline(template) == [("Before", ["One", "Two"]), ("After", ["Three"])]
    assert template.sections[0].why.en == "In time."


@pytest.mark.parametrize(
    "line",
    [
        *("- [] One", "- [  ] One", "- [ ]One", "-[ ] One", "*[x]One"),
        *("- [\u00a0] One", "- [✓] One", "- ☐ One", "+ ☑\ufe0f One"),
    ],
)
def test_it_takes_boxes_as_people_and_editors_write_them(line: str) -> None:
    assert outline(read(f"- [ ] Zero\n{line}\n- [ ] Two\n")) == [("Own list", ["Zero", "One", "Two"])]


def test_it_takes_no_link_for_a_box() -> None:
    template = read("- [ ] One\n- [x](https://example.org/) two\n- [three](https://example.org/)\n- ✅ four\n")

    assert outline(template) == [("Own list", ["One"])]


def test_a_mark_at_the_beginning_of_a_file_loses_nothing() -> None:
    assert outline(read("\ufeff# First\n- [ ] One\n")) == [("First", ["One"])]
    assert outline(read("\ufeff- [ ] One\n")) == [("Own list", ["One"])]


def test_it_takes_tasks_without_a_heading() -> None:
    assert outline(read("1. [ ] One\n2. [ ] Two\n")) == [("Own list", ["One", "Two"])]


def test_it_makes_sections_of_tasks_that_hold_tasks() -> None:
    source = "- [ ] **Group**:\n  said of it\n  - [ ] One\n  - a note\n  - [ ] Two\n    - [ ] Deep\n- [ ] Last\n"

    template = read(source)

    assert outline(template) == [("Own list", ["Last"]), ("Group", ["One"]), ("Group: Two", ["Deep"])]
    assert template.sections[1].why.en == "- a note"


def test_it_reads_why_and_how_below_a_task() -> None:
    source = """
- [ ] Name
  and its next line

  **Why:** because

  > it matters

  How: so

      indented code
  ```sh
  run it
  ```
- [ ] Other
  - first
  - second
"""
    name, other = read(source).items

    assert (name.why.en, name.how.en) == (
        "because\n\n> it matters",
        "and its next line\n\nso\n\n    indented code\n```sh\nrun it\n```",
    )
    assert (other.why.en, other.how.en) == ("", "- first\n- second")


@pytest.mark.parametrize(
    ("words", "title", "severity"),
    [
        ("Domain (optional)", "Domain", "optional"),
        ("Data (Should)", "Data", "should"),
        ("Data (must)", "Data", "must"),
        ("Backup (automatic)", "Backup (automatic)", "must"),
        ("`DATABASE_URL` **set** in [the file](https://example.org)", "DATABASE_URL set in the file", "must"),
        ("a \\* b &amp; c", "a * b & c", "must"),
        ("Über Öl", "Über Öl", "must"),
    ],
)
def test_it_reads_a_name(words: str, title: str, severity: str) -> None:
    (item,) = read(f"- [ ] {words}\n").items

    assert (item.title.en, item.severity.value) == (title, severity)


def test_it_makes_different_keys_of_the_same_name() -> None:
    keys = [item.key for item in read("# A\n- [ ] Über\n- [ ] Über\n- [ ] 🚨\n# A\n- [ ] Über\n").items]

    assert keys == ["a.ueber", "a.ueber_2", "a.item", "a_2.ueber"]


def test_it_keeps_a_name_that_is_too_long_in_the_how() -> None:
    (item,) = read(f"- [ ] {'long ' * 60}\n").items

    assert len(item.title.en) <= 200
    assert item.title.en.endswith("…")
    assert item.how.en == ("long " * 60).strip()


def test_it_takes_no_code_for_a_task() -> None:
    with pytest.raises(TaskListError, match="There is no task list in this text"):
        read_task_list("```\n- [ ] One\n```\n\n- [link](https://example.org)\n- plain\n", "own", "Own")


def test_it_names_the_line_of_a_task_without_a_name() -> None:
    with pytest.raises(TaskListError, match=r"^Line 3: this task has no name\.$"):
        read_task_list("# A\n\n- [ ] (optional)\n", "own", "Own")


def test_it_has_a_limit() -> None:
    with pytest.raises(TaskListError, match="There are 501 tasks in 1 sections; at most 500 in 100"):
        read_task_list("- [ ] One\n" * 501, "own", "Own")


def test_it_keeps_markup_as_words() -> None:
    (item,) = read("- [ ] <script>alert(1)</script> & <b>b</b>\n\n  <img src=x onerror=alert(1)>\n").items

    assert item.title.en == "<script>alert(1)</script> & <b>b</b>"
    assert item.how.en == "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize("language", ["en", "de"])
def test_it_writes_a_document_that_reads_the_same(language: str) -> None:
    template = load_template()
    document = write_task_list(template, language)

    again = read(document)

    assert document.startswith(f"# {template.title.for_language(language)}\n\n")
    for old, new in zip(template.sections, again.sections, strict=True):
        assert (new.title.en, new.why.en) == (old.title.for_language(language), old.why.for_language(language))
    for item, copy in zip(template.items, again.items, strict=True):
        assert copy.title.en == item.title.for_language(language)
        assert copy.why.en == item.why.for_language(language)
        assert copy.how.en == item.how.for_language(language)
        assert copy.severity is item.severity


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "hostile", ["[" * 50_000, "![" * 25_000, "*a_ " * 12_000, "[a](" * 12_000, "> " * 25_000, "`" * 50_000]
)
def test_it_reads_hostile_text_in_time(hostile: str) -> None:
    assert len(read_task_list(f"- [ ] One\n- [ ] {hostile}\n", "own", "Own").items) == 2


@given(st.text(st.sampled_from("- []x*#>`1.ab<&\n\t\\:()|"), max_size=200))
def test_it_reads_or_refuses_whatever_is_pasted(source: str) -> None:
    try:
        template = read_task_list(source, "own", "Own")
    except TaskListError:
        return
    assert parse_template(write_template(template), "own") == template

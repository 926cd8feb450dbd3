"""Templates from and to Markdown task lists (`- [ ] Name`), as people keep them in documents; pure.

Headings and tasks that hold tasks become sections, all other tasks items. What is written below a task is its how, or
its why after the word "Why:". A name that ends in (should) or (optional) says the severity.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from readiness.checklists.template_edits import make_item_key, make_section_key
from readiness.checklists.template_reader import MOST_ITEMS, MOST_SECTIONS, TITLE_LENGTH
from readiness.checklists.template_values import Hours, Item, Kind, Section, Severity, Template, Text

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
# A box as it is meant: also with no blank or several, a tick, nothing behind it, or as the one sign that editors draw.
# What looks like a link stays one.
_TASK = re.compile(r"(?:\[\s*[xX✓✔]?\s*\](?![(\[:])|[☐☑☒]\ufe0f?)\s*")
# A list's sign that the box follows at once, which Markdown does not take for one.
_GLUED = re.compile(r"^(\s*)([-*+])(?=\[\s*[xX✓✔]?\s*\](?![(\[:]))")
_SEVERITY = re.compile(r"\s*\((must|should|optional)\)$", re.IGNORECASE)
_WHY = re.compile(r"(\*\*|__)?(?:why|warum):(\*\*|__)?\s*", re.IGNORECASE)
_HOW = re.compile(r"(\*\*|__)?(?:how|wie):(\*\*|__)?\s*", re.IGNORECASE)
_LISTS = ("bullet_list", "ordered_list")
_INDENT = "  "


class TaskListError(Exception):
    """Why no template can be made of a document; one sentence."""


@dataclass(frozen=True)
class _Task:
    title: str
    severity: Severity
    why: str
    how: str


@dataclass
class _Group:
    """What becomes one section: its title, the texts around its tasks, its tasks."""

    title: str
    texts: list[str] = field(default_factory=list)
    tasks: list[_Task] = field(default_factory=list)


def read_task_list(source: str, key: str, title: str) -> Template:
    """The template that the tasks of a Markdown document make; TaskListError when it has none, or too many."""
    text = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = [_GLUED.sub(r"\1\2 ", line) for line in text.expandtabs(4).split("\n")]
    groups = [group for group in _Reader(lines, title).read() if group.tasks]
    if not groups:
        raise TaskListError('There is no task list in this text: a task is a line such as "- [ ] Name".')
    if (count := sum(len(group.tasks) for group in groups)) > MOST_ITEMS or len(groups) > MOST_SECTIONS:
        limits = f"at most {MOST_ITEMS} in {MOST_SECTIONS} make a template"
        raise TaskListError(f"There are {count} tasks in {len(groups)} sections; {limits}.")
    sections: list[Section] = []
    items: list[Item] = []
    for group in groups:
        section_key = make_section_key(group.title, {section.key for section in sections})
        sections.append(_make_section(section_key, group))
        for task in group.tasks:
            item_key = make_item_key(section_key, task.title, {item.key for item in items})
            items.append(_make_item(item_key, section_key, task))
    return Template(
        key=key,
        version=1,
        title=_both(title),
        intro=_both(""),
        sections=tuple(sections),
        items=tuple(items),
        plan=(),
        costs=(),
        alert_rules=(),
    )


def write_task_list(template: Template, language: str) -> str:
    """The template as a Markdown document with a task for each item, in one language."""
    parts = [f"# {template.title.for_language(language)}", template.intro.for_language(language)]
    words = ("Warum", "Wie") if language == "de" else ("Why", "How")
    for section, items in template.items_by_section():
        parts += [f"## {section.title.for_language(language)}", section.why.for_language(language)]
        parts += [_write_task(item, words, language) for item in items]
    return "\n\n".join(part for part in parts if part) + "\n"


def _write_task(item: Item, words: tuple[str, str], language: str) -> str:
    severity = "" if item.severity is Severity.MUST else f" ({item.severity})"
    parts = [f"- [ ] {_escape(item.title.for_language(language))}{severity}"]
    for word, text in zip(words, (item.why, item.how), strict=True):
        if shown := text.for_language(language):
            parts.append(_indent(f"**{word}:**\n\n{shown}"))
    return "\n\n".join(parts)


def _escape(title: str) -> str:
    """A title as it is, where Markdown would read a mark."""
    return re.sub(r"([\\`*_\[\]<>&])", r"\\\1", title)


def _indent(text: str) -> str:
    return "\n".join(f"{_INDENT}{line}" if line else line for line in text.split("\n"))


def _make_section(key: str, group: _Group) -> Section:
    why = "\n\n".join(filter(None, group.texts))
    return Section(key, _both(group.title), _both(why), (), Hours(0, 0), (), ())


def _make_item(key: str, section: str, task: _Task) -> Item:
    return Item(
        key=key,
        section=section,
        kind=Kind.MANUAL,
        severity=task.severity,
        rule="",
        rule_text=_both(""),
        title=_both(task.title),
        why=_both(task.why),
        how=_both(task.how),
        estimate_minutes=0,
        plan_step="",
        approvals=1,
    )


def _both(text: str) -> Text:
    return Text(en=text, de=text)


class _Reader:
    """Walks a document once and collects its tasks, group by group."""

    def __init__(self, lines: Sequence[str], title: str) -> None:
        self._lines = lines
        self._groups = [_Group(title)]

    def read(self) -> list[_Group]:
        self._read_blocks(SyntaxTreeNode(_MARKDOWN.parse("\n".join(self._lines))))
        return self._groups

    def _read_blocks(self, parent: SyntaxTreeNode) -> None:
        for node in parent.children:
            if node.type == "heading":
                self._open_group(_read_words(node))
            elif node.type in _LISTS and _holds_task(node):
                self._read_list(node, self._groups[-1], is_inner=False)
            elif node.type == "blockquote" and _holds_task(node):
                self._read_blocks(node)
            elif node.type != "hr":
                self._groups[-1].texts.append(self._cut_out(*_lines_of(node)))

    def _open_group(self, title: str) -> _Group:
        group = _Group(_shorten(title.rstrip(":")) or self._groups[0].title)
        self._groups.append(group)
        return group

    def _read_list(self, node: SyntaxTreeNode, group: _Group, *, is_inner: bool) -> None:
        """The tasks of a list become those of ``group``, the tasks below one of its entries a group of their own."""
        for is_text, entries in groupby(node.children, lambda entry: not (_is_task(entry) or _find_lists(entry))):
            run = list(entries)
            if is_text:
                group.texts.append(self._cut_out(_lines_of(run[0])[0], _lines_of(run[-1])[1]))
                continue
            for entry in run:
                if below := _find_lists(entry):
                    self._read_inner(entry, below, f"{group.title}: " if is_inner else "")
                else:
                    group.tasks.append(self._read_task(entry))

    def _read_inner(self, entry: SyntaxTreeNode, below: Sequence[SyntaxTreeNode], outer: str) -> None:
        inner = self._open_group(outer + _read_words(entry.children[0]))
        others = [child for child in entry.children[1:] if child not in below]
        inner.texts += [self._cut_out(*_lines_of(child)) for child in others]
        for child in below:
            self._read_list(child, inner, is_inner=True)

    def _read_task(self, entry: SyntaxTreeNode) -> _Task:
        start, end = _lines_of(entry)
        words = _read_words(entry.children[0])
        severity = _SEVERITY.search(words)
        title = words[: severity.start()] if severity else words
        if not title:
            raise TaskListError(f"Line {start + 1}: this task has no name.")
        # Each part begins where a word says so, and ends where the next one begins.
        marks = [(start + 1, "how", 0)]
        for child in entry.children[1:]:
            first = _lines_of(child)[0]
            for part, mark in (("why", _WHY), ("how", _HOW)):
                if child.type == "paragraph" and (found := mark.match(self._lines[first].lstrip())):
                    marks.append((first, part, found.end()))
        texts = {"why": "", "how": "" if len(title) <= TITLE_LENGTH else title}
        ends = [first for first, _, _ in marks[1:]] + [end]
        for (first, part, skipped), last in zip(marks, ends, strict=True):
            text = self._cut_out(first, last)[skipped:].strip()
            texts[part] = "\n\n".join(filter(None, [texts[part], text]))
        chosen = Severity(severity[1].lower()) if severity else Severity.MUST
        return _Task(_shorten(title), chosen, texts["why"], texts["how"])

    def _cut_out(self, start: int, end: int) -> str:
        """Lines of the document without the indentation that the first of them has."""
        lines = self._lines[start:end]
        first = next((line for line in lines if line.strip()), "")
        width = len(first) - len(first.lstrip())
        return "\n".join(line[min(width, len(line) - len(line.lstrip())) :] for line in lines).strip()


def _lines_of(node: SyntaxTreeNode) -> tuple[int, int]:
    return node.map or (0, 0)


def _is_task(entry: SyntaxTreeNode) -> bool:
    first = entry.children[0] if entry.children else None
    return first is not None and first.type == "paragraph" and bool(_TASK.match(first.children[0].content))


def _holds_task(node: SyntaxTreeNode) -> bool:
    return any(_is_task(one) for one in node.walk() if one.type == "list_item")


def _find_lists(entry: SyntaxTreeNode) -> list[SyntaxTreeNode]:
    """The lists of tasks below an entry."""
    return [child for child in entry.children if child.type in _LISTS and _holds_task(child)]


def _read_words(node: SyntaxTreeNode) -> str:
    """The first line of a heading or a paragraph as plain text, without the box of a task."""
    words = "".join(_spell_inline(node.children[0])) if node.children else ""
    return " ".join(_TASK.sub("", words.partition("\n")[0], count=1).split())


def _spell_inline(node: SyntaxTreeNode) -> Iterator[str]:
    if node.type in ("softbreak", "hardbreak"):
        yield "\n"
    elif node.children and node.type != "image":
        for child in node.children:
            yield from _spell_inline(child)
    else:
        yield node.content


def _shorten(title: str) -> str:
    return title if len(title) <= TITLE_LENGTH else f"{title[: TITLE_LENGTH - 1].rstrip()}…"

"""Template tags of the site: status marks, ages, sizes, beat bars, Markdown; reads nothing but its arguments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import nh3
from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from portal.charts import STEP, beat_paths
from portal.words import SHAPES, STATUS_WORDS, word_age, word_bytes, word_duration_ms, word_span
from readiness.checklists.gate import KIND_TITLES
from readiness.probes.transitions import BEATS_KEPT

register = template.Library()

_SHAPE_PATHS = {
    "pass": '<circle cx="8" cy="8" r="7"/>',
    "warn": '<path d="M8 1l7.5 14H.5z"/>',
    "fail": '<path d="M1.5 1.5h13v13h-13z"/>',
    "idle": '<path d="M1 6h14v4H1z"/>',
}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN_TAGS = {
    "p",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "code",
    "pre",
    "a",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "blockquote",
    "h3",
    "h4",
    "hr",
    "br",
}


@register.simple_tag
def status(name: str, word: str = "", extra: str = "") -> SafeString:
    """A status as a shape, a word and a colour. ``name``: pass, warn, fail, error, skipped, stale or idle."""
    shape = SHAPES.get(name, "idle")
    return format_html(
        '<span class="status {} {}"><svg viewBox="0 0 16 16" aria-hidden="true">{}</svg>{}</span>',
        shape,
        extra,
        mark_safe(_SHAPE_PATHS[shape]),  # noqa: S308  our own constant
        word or STATUS_WORDS.get(name, name),
    )


@register.simple_tag
def beat_bar(beats: str, label: str = "") -> SafeString:
    """The last runs of a probe as a bar."""
    paths = SafeString("").join(
        format_html('<path class="{}" stroke-width="2.6" d="{}"/>', letter, data) for letter, data in beat_paths(beats)
    )
    return format_html(
        '<svg class="beats" viewBox="0 0 {} 24" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        BEATS_KEPT * STEP,
        label or f"The last {min(len(beats), BEATS_KEPT)} runs",
        mark_safe(paths),  # noqa: S308  joined from format_html
    )


@register.simple_tag
def age(at: datetime | None) -> SafeString:
    """How long ago, with the exact time for those who ask."""
    if at is None:
        return SafeString("never")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.isoformat(timespec="seconds"),
        timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z"),
        word_age(at, timezone.now()),
    )


@register.filter
def size(value: int | None) -> str:
    """Bytes in words."""
    return word_bytes(value)


@register.filter
def duration(value: int | None) -> str:
    """Milliseconds in words."""
    return word_duration_ms(value)


@register.filter
def until(at: datetime | None) -> str:
    """How long until a moment to come."""
    return "" if at is None else f"in {word_span(at - timezone.now())}"


@register.filter
def kind_title(kind: str) -> str:
    """What people call a kind of probe."""
    return KIND_TITLES.get(kind, kind)


@register.filter
def in_language(text: Any, code: str) -> str:
    """A template text in the language that was asked for."""
    return str(text.for_language(code)) if text else ""


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that holds nothing but text, lists, tables, code and links."""
    html = nh3.clean(
        _MARKDOWN.render(text), tags=_MARKDOWN_TAGS, attributes={"a": {"href"}}, url_schemes={"https", "http"}
    )
    return mark_safe(html)  # noqa: S308  nh3 has cleaned it

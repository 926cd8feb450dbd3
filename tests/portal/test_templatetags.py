"""Template tags: marks with shape and word, exact times behind ages, and Markdown that can do no harm."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.template import Context, Template
from django.utils import timezone

from portal.templatetags import preflight
from readiness.checklists.template import Text


class _Tags(HTMLParser):
    """Collects every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def render(source: str, **context: object) -> str:
    return Template("{% load preflight %}" + source).render(Context(context))


@pytest.mark.parametrize(
    ("name", "shape", "word"),
    [
        ("pass", "pass", "Pass"),
        ("warn", "warn", "Warning"),
        ("fail", "fail", "Fail"),
        ("error", "idle", "Could not tell"),
        ("skipped", "idle", "Skipped"),
        ("stale", "idle", "Out of date"),
        ("unheard-of", "idle", "unheard-of"),
    ],
)
def test_it_shows_a_status_by_shape_and_word(name: str, shape: str, word: str) -> None:
    html = render("{% status name %}", name=name)

    assert f'class="status {shape}' in html
    assert html.rstrip().endswith(f"{word}</span>")
    assert "<svg" in html


def test_it_draws_a_shape_of_its_own_for_each_status() -> None:
    drawn = {
        render("{% status name 'x' %}", name=name).partition("<svg")[2] for name in ("pass", "warn", "fail", "error")
    }

    assert len(drawn) == 4


def test_it_escapes_words_from_elsewhere() -> None:
    assert "<b>" not in render("{% status 'fail' word %}", word="<b>x</b>")
    assert "<b>" not in render("{% beat_bar 'ppp' label %}", label='"><b>x')


def test_it_says_exactly_when_behind_an_age() -> None:
    at = timezone.now() - timedelta(minutes=5)

    html = render("{% age at %}", at=at)

    assert f'datetime="{at.isoformat(timespec="seconds")}"' in html
    assert at.strftime("%Y-%m-%d %H:%M:%S UTC") in html
    assert ">5 min ago</time>" in html
    assert render("{% age at %}", at=None) == "never"


def test_it_words_sizes_durations_and_what_is_to_come() -> None:
    soon = timezone.now() + timedelta(hours=3, seconds=30)

    assert render("{{ 9800000|size }} {{ 2400|duration }} {{ at|until }}", at=soon) == "9.8 MB 2.4 s in 3 h"
    assert render("[{{ none|size }}{{ none|duration }}{{ none|until }}]", none=None) == "[]"


def test_it_titles_kinds_and_reads_texts_in_a_language() -> None:
    text = Text(en="Why", de="Warum")

    assert render("{{ 'tls'|kind_title }} {{ 'dns2'|kind_title }}") == "TLS dns2"
    assert render("{{ text|in_language:'de' }} {{ text|in_language:'en' }}", text=text) == "Warum Why"
    assert render("[{{ text|in_language:'de' }}]", text=None) == "[]"


def test_it_renders_markdown() -> None:
    html = preflight.markdown("**Bold** and `code`\n\n- one\n- two\n\n[a link](https://example.org)")

    assert "<strong>Bold</strong>" in html
    assert "<code>code</code>" in html
    assert html.count("<li>") == 2
    assert '<a href="https://example.org"' in html


def test_a_list_goes_on_counting_after_a_paragraph() -> None:
    assert '<ol start="2">' in preflight.markdown("1. one\n\nBetween the two.\n\n2. two")


@pytest.mark.parametrize(
    "source",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "![x](https://example.org/x.png)",
        '<a href="https://example.org" onclick="x" style="color:red">x</a>',
        "<style>p{}</style>",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n[x]",
    ],
)
def test_it_renders_no_markdown_that_can_do_harm(source: str) -> None:
    parser = _Tags()
    parser.feed(str(preflight.markdown(source)))

    for tag, attributes in parser.found:
        assert tag in {"p", "a"}
        assert set(attributes) <= {"href", "rel"}
        assert (attributes.get("href") or "https:").startswith("https:")


def test_it_gives_links_no_way_back() -> None:
    assert 'rel="noopener noreferrer"' in preflight.markdown("[x](https://example.org)")

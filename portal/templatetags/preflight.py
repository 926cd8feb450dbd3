"""Template tags of the site: status marks, ages, sizes, beat bars, Markdown; reads nothing but its arguments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import nh3
from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from backups.models import Backup, Job, Verification
from portal.charts import STEP, bar_path, beat_paths, burn_down_lines, line_path
from portal.reasons import GroupedReasons, group_reasons
from portal.stages import Stage, describe_stages
from portal.words import (
    BACKUP_STATES,
    ITEM_FIELDS,
    ITEM_STATES,
    JOB_OUTCOMES,
    SHAPES,
    STATUS_WORDS,
    VERDICTS,
    WAIVER_STATES,
    split_fix,
    split_statements,
    word_age,
    word_bytes,
    word_duration_ms,
    word_span,
)
from readiness.checklists.burn_down import Forecast, Point
from readiness.checklists.facts import ProbeFact
from readiness.checklists.gate import KIND_TITLES, Reason
from readiness.checklists.next_steps import NextStep
from readiness.checklists.template_values import Hours, Template
from readiness.checklists.verification import ItemStanding
from readiness.models import Environment, Waiver
from readiness.probes.base import Finding
from readiness.probes.postgres_health.facts import format_bytes
from readiness.probes.transitions import BEATS_KEPT
from readiness.trackers.listing import sum_buckets

register = template.Library()

CHART_SIZE = (600, 64)
BURN_DOWN_SIZE = (600, 160)

StoredFinding = Mapping[str, str]

_SHAPE_PATHS = {
    "pass": '<circle cx="8" cy="8" r="7"/>',
    "warn": '<path d="M8 1l7.5 14H.5z"/>',
    "fail": '<path d="M1.5 1.5h13v13h-13z"/>',
    "idle": '<path d="M1 6h14v4H1z"/>',
}
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_BLOCK_TAGS = {"p", "ul", "ol", "li", "pre", "blockquote", "h3", "h4", "hr"}
_TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
_INLINE_TAGS = {"strong", "em", "code", "a", "br"}


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
def backup_status(backup: Backup) -> SafeString:
    """How far a backup is proven."""
    return status(*BACKUP_STATES[backup.status])


@register.simple_tag
def job_status(job: Job) -> SafeString:
    """How a verification, a proof or a restore stands, or how it ended."""
    if job.state != "done":
        return status(*BACKUP_STATES[job.state])
    return status(*JOB_OUTCOMES.get(getattr(job, "outcome", ""), ("pass", "Passed")))


@register.simple_tag
def standing_status(standing: ItemStanding) -> SafeString:
    """Where a checklist item stands."""
    return status(*ITEM_STATES[standing.state])


@register.simple_tag
def item_title(checklist: Template, key: str, language: str) -> str:
    """What an item of a checklist is called."""
    return checklist.item(key).title.for_language(language)


@register.simple_tag
def item_state(state: str) -> SafeString:
    """A state of an item by itself."""
    return status(*ITEM_STATES[state])


@register.filter
def state_word(state: str) -> str:
    """A state of an item in a word."""
    return ITEM_STATES[state][1]


@register.simple_tag
def waiver_status(waiver: Waiver) -> SafeString:
    """Whether a waiver is asked for, in force, ends within a week, or is over."""
    today = timezone.localdate()
    if waiver.state in Waiver.LIVE and waiver.is_over(today):
        return status("idle", "Expired")
    if waiver.is_ending(today):
        return status("warn", "Ends soon")
    return status(*WAIVER_STATES[waiver.state])


@register.simple_tag
def verdict_status(verdict: str, extra: str = "") -> SafeString:
    """The verdict as a mark."""
    return status(VERDICTS[verdict], verdict, extra)


@register.simple_tag
def probe_status(fact: ProbeFact) -> SafeString:
    """How the newest result of one kind stands now."""
    if fact.status is None:
        return status("idle", "No result yet")
    return status("stale" if fact.is_stale else fact.status)


@register.simple_tag
def finding_status(finding: StoredFinding | Finding, is_stale: bool = False) -> SafeString:
    """How one fact was judged; a fact that is out of date is never shown as good."""
    name = _status_of(finding)
    return status("stale", f"was {STATUS_WORDS.get(name, name).lower()}") if is_stale else status(name)


@register.simple_tag
def backup_stages(backup: Backup, verifications: Iterable[Verification]) -> list[Stage]:
    """Taken, verified, proven: each with how it stands."""
    return describe_stages(backup, verifications)


@register.simple_tag
def gate_groups(reasons: Sequence[Reason], template: Template) -> GroupedReasons:
    """The reasons of a verdict, grouped for reading."""
    return group_reasons(reasons, template)


@register.simple_tag
def reason_url(environment: Environment, reason: Reason) -> str:
    """Where a reason is looked into."""
    return reverse("item", args=[environment.slug, reason.key])


@register.filter
def step_sentence(step: NextStep) -> str:
    """What to connect, and how many items that verifies."""
    if not step.item_count:
        return f"{step.text}."
    items, pronoun = ("item", "itself") if step.item_count == 1 else ("items", "themselves")
    return f"{step.text}: {step.item_count} checklist {items} will verify by {pronoun}."


@register.filter
def done_count(standings: Sequence[ItemStanding]) -> int:
    """How many items of a list are done."""
    return sum(standing.is_done for standing in standings)


@register.filter
def worst_first(findings: Sequence[StoredFinding | Finding]) -> list[StoredFinding | Finding]:
    """Findings that are not a pass, worst first; each status keeps its order."""
    return sorted((one for one in findings if _status_of(one) != "pass"), key=_badness)


@register.filter
def passed(findings: Sequence[StoredFinding | Finding]) -> list[StoredFinding | Finding]:
    """Findings that are a pass."""
    return [one for one in findings if _status_of(one) == "pass"]


@register.filter
def fix_snippets(fix: str) -> list[tuple[str, str]]:
    """A fix as (stack, snippet) pairs."""
    return split_fix(fix)


@register.filter
def fix_statements(fix: str) -> list[tuple[bool, str]]:
    """A fix with SQL in it as (is SQL, text) blocks; nothing for one without."""
    return split_statements(fix)


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
def bars(counts: Sequence[int], label: str) -> SafeString:
    """Counts as a small bar chart; ``label`` says what it shows, for those who cannot see it."""
    return format_html(
        '<svg class="bars" viewBox="0 0 240 40" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path d="{}"/></svg>',
        label,
        bar_path(counts),
    )


@register.simple_tag
def duration_chart(durations_ms: Sequence[int]) -> SafeString:
    """How long runs took, oldest at the left."""
    path = line_path(durations_ms, *CHART_SIZE)
    if not path:
        return SafeString("")
    return format_html(
        '<svg class="course" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path d="{}"/></svg>',
        *CHART_SIZE,
        f"How long the last {len(durations_ms)} runs took, at most {word_duration_ms(max(durations_ms))}",
        path,
    )


@register.inclusion_tag("readiness/_burn_down.html")
def burn_down(points: Sequence[Point], forecast: Forecast, target: date | None) -> dict[str, Any]:
    """How many items were open on each day, the pace that the target date asks for, and the forecast."""
    days = [(point.day, point.open_count) for point in points]
    width, height = BURN_DOWN_SIZE
    lines = burn_down_lines(days, target, forecast.done_on, width, height)
    return {"lines": lines, "width": width, "height": height, "forecast": forecast, "now_open": days[-1][1]}


@register.simple_tag
def kept_state(state: str | None) -> SafeString:
    """The state of an item as a record has it; an item that a record does not have is none."""
    return status("idle", "none") if state is None else status(*ITEM_STATES.get(state, ("idle", state)))


@register.simple_tag
def decision_status(outcome: str) -> SafeString:
    """What a meeting decided, or a verdict that a record has, as a mark."""
    return status(VERDICTS.get(outcome, "idle"), outcome)


@register.filter
def money(amount: Decimal) -> str:
    """An amount with its cents only where it has some."""
    return f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"


@register.filter
def hours(span: Hours) -> str:
    """A range of hours: 3.5 to 5 h."""
    low, high = f"{span.low:g}", f"{span.high:g}"
    return f"{low} h" if low == high else f"{low} to {high} h"


@register.filter
def moment_date(text: str | None) -> date | None:
    """An ISO date that was stored as text."""
    return date.fromisoformat(text) if text else None


@register.filter
def words(name: str) -> str:
    """A name of the code as people read it."""
    return name.replace("_", " ").capitalize()


@register.filter
def hour_counts(buckets: Sequence[Sequence[int]] | None) -> list[int]:
    """[[seconds, count], ...] as events of each of the last 24 hours; trackers leave out hours without any."""
    return list(sum_buckets([buckets], timezone.now(), 3600, 24))


@register.filter
def day_counts(buckets: Sequence[Sequence[int]] | None) -> list[int]:
    """Likewise of each of the last 30 days."""
    return list(sum_buckets([buckets], timezone.now(), 86_400, 30))


@register.filter
def known(value: Any) -> Any:
    """A figure, or a dash with its meaning where nobody knows it: missing is not zero."""
    # A key that is not there arrives as empty text.
    if value is None or value == "":
        return mark_safe('<span title="The tracker does not tell">–</span>')
    return value


@register.simple_tag
def level_status(level: str) -> SafeString:
    """How bad an issue is, in the tracker's own word."""
    shape = {"fatal": "fail", "error": "fail", "warning": "warn"}.get(level, "idle")
    return status(shape, level or "unknown")


@register.filter
def moment(text: str | None) -> datetime | None:
    """An ISO time that was stored as text."""
    return datetime.fromisoformat(text) if text else None


@register.filter
def percent(share: float | None) -> str:
    """A share as a percentage that never rounds up to a hundred."""
    if share is None:
        return "unknown"
    return "100 %" if share >= 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


@register.filter
def seconds_in_words(seconds: float) -> str:
    """A span given in seconds."""
    return word_span(timedelta(seconds=seconds))


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
def postgres_size(value: int | None) -> str:
    """Bytes as PostgreSQL and the findings of its probe say them, in units of 1024."""
    return format_bytes(value)


@register.filter
def duration(value: int | None) -> str:
    """Milliseconds in words."""
    return word_duration_ms(value)


@register.filter
def span(seconds: int | None) -> str:
    """A number of seconds as people say it: 40 s, 3 min; empty for none."""
    return "" if seconds is None else word_span(timedelta(seconds=seconds))


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
def field_words(name: str) -> str:
    """What people call a field of a checklist item."""
    return ITEM_FIELDS.get(name, name)


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that holds nothing but text, lists, tables, code and links."""
    html = nh3.clean(
        _MARKDOWN.render(text),
        tags=_BLOCK_TAGS | _TABLE_TAGS | _INLINE_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"https", "http"},
    )
    return mark_safe(html)  # noqa: S308  nh3 has cleaned it


def _status_of(finding: StoredFinding | Finding) -> str:
    return finding.status if isinstance(finding, Finding) else finding["status"]


def _badness(finding: StoredFinding | Finding) -> int:
    ranks, found = ("fail", "error", "warn"), _status_of(finding)
    return ranks.index(found) if found in ranks else len(ranks)

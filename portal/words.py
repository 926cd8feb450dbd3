"""How pages word ages, sizes and statuses; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

SHAPES = {"pass": "pass", "warn": "warn", "fail": "fail", "error": "idle", "skipped": "idle", "stale": "idle"}
STATUS_WORDS = {
    "pass": "Pass",
    "warn": "Warning",
    "fail": "Fail",
    "error": "Could not tell",
    "skipped": "Skipped",
    "stale": "Out of date",
}
# Each state as a pair: the status that gives shape and colour, and the word.
BACKUP_STATES: Mapping[str, tuple[str, str]] = {
    "proven": ("pass", "Proven"),
    "verified": ("pass", "Verified"),
    "done": ("idle", "Taken"),
    "damaged": ("fail", "Damaged"),
    "failed": ("fail", "Failed"),
    "cancelled": ("idle", "Cancelled"),
    "running": ("idle", "Running"),
    "queued": ("idle", "Queued"),
    "waiting": ("idle", "Waiting for approval"),
}
JOB_OUTCOMES: Mapping[str, tuple[str, str]] = {
    "fail": ("fail", "Failed"),
    "not_provable": ("warn", "Not provable here"),
    "error": ("error", "Could not tell"),
}
ITEM_STATES: Mapping[str, tuple[str, str]] = {
    "todo": ("idle", "To do"),
    "in_progress": ("idle", "In progress"),
    "submitted": ("warn", "Waits for approval"),
    "verified": ("pass", "Verified"),
    "blocked": ("fail", "Blocked"),
    "not_applicable": ("pass", "Not applicable"),
    "stale": ("warn", "Stale"),
    "failing": ("fail", "Failing"),
    "unverifiable": ("idle", "Not verifiable yet"),
}
WAIVER_STATES: Mapping[str, tuple[str, str]] = {
    "pending": ("idle", "Waits for approval"),
    "approved": ("warn", "In force"),
    "rejected": ("idle", "Rejected"),
    "revoked": ("idle", "Revoked"),
    "expired": ("idle", "Expired"),
}
VERDICTS: Mapping[str, str] = {"GO": "pass", "CONDITIONAL": "warn", "NO-GO": "fail"}
_ACRONYMS = {"https": "HTTPS", "http": "HTTP", "tls": "TLS", "dns": "DNS", "csp": "CSP", "hsts": "HSTS"}
_LABELLED_LINE = re.compile(r"([A-Za-z][A-Za-z .-]{1,19}): (.+)")


def word_span(span: timedelta) -> str:
    """A span in its largest unit, as people say it: 40 s, 3 min, 5 h, 2 d."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        # From twice a unit on: 90 minutes say more than 1 h.
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def word_age(at: datetime | None, now: datetime) -> str:
    """How long ago ``at`` was; never, when it is None."""
    if at is None:
        return "never"
    if now - at < timedelta(seconds=2):
        return "just now"
    return f"{word_span(now - at)} ago"


def word_bytes(size: int | None) -> str:
    """A size with three figures at most: 0 B, 512 B, 9.8 MB, 157 MB. Powers of 1000, as storage is sold."""
    if size is None:
        return ""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def word_duration_ms(milliseconds: int | None) -> str:
    """A duration as people read it: 85 ms, 2.4 s, 3 min."""
    if milliseconds is None:
        return ""
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000} min"


def word_reason(reason: str) -> str:
    """A reason code as people say it: no_https_redirect is "no HTTPS redirect"."""
    return " ".join(_ACRONYMS.get(word, word) for word in reason.split("_"))


def split_fix(fix: str) -> list[tuple[str, str]]:
    """A fix of several lines as (label, snippet) pairs; what names no stack has an empty label.

    Probes write one line a stack, "nginx: server_tokens off;". A stack named again continues its snippet on a new line.
    """
    snippets: dict[str, list[str]] = {}
    for line in fix.splitlines():
        found = _LABELLED_LINE.fullmatch(line)
        label, text = found.groups() if found else ("", line)
        snippets.setdefault(label, []).append(text)
    return [(label, "\n".join(lines)) for label, lines in snippets.items()]

"""Earlier answers about what seldom changes: which of them may stand in for asking again, and how old they are. Pure.

A stored result names under `endpoints` what each endpoint said; what was good there and is young enough is carried on.
What was bad is asked again every time, so that its mending shows at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from readiness.probes.base import Finding, Status, Target

_MAX_SUMMARY_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class GoodAnswer:
    """Findings that all passed when they were asked for, by id, and when that was (aware)."""

    asked_at: datetime
    summaries: Mapping[str, str]

    def list_findings(self) -> list[Finding]:
        """Return the findings again, each with the time it is from."""
        detail = f"as asked on {self.asked_at:%Y-%m-%d at %H:%M:%S} UTC; not asked every time"
        return [Finding(name, Status.PASS, summary, detail) for name, summary in self.summaries.items()]

    def as_json_object(self) -> dict[str, Any]:
        return {"at": self.asked_at.isoformat(), "findings": dict(self.summaries)}


def find_entry(target: Target, url: str) -> Mapping[str, Any]:
    """Return what the result before said about the endpoint of `url`; empty when it said nothing."""
    entries = (target.previous or {}).get("endpoints")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("url") == url:
            return entry
    return {}


def read_time(value: Any) -> datetime | None:
    """Return the aware time that `value` spells in ISO 8601; None when it spells none."""
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return time if time.tzinfo is not None else None


def is_young(asked_at: datetime | None, target: Target) -> bool:
    """Say whether an answer from `asked_at` may stand in for asking; never where the target wants everything asked."""
    return asked_at is not None and target.oldest_answer_at is not None and asked_at >= target.oldest_answer_at


def read_good_answer(entry: Mapping[str, Any], target: Target) -> GoodAnswer | None:
    """Return the good answer that `entry` keeps under `asked`; None when there is none, or it is too old."""
    asked = entry.get("asked")
    if not isinstance(asked, Mapping) or not isinstance(asked.get("findings"), Mapping):
        return None
    asked_at = read_time(asked.get("at"))
    if asked_at is None or not is_young(asked_at, target):
        return None
    return GoodAnswer(asked_at, {str(name): str(text) for name, text in asked["findings"].items()})


def keep_good_answer(findings: list[Finding], now: datetime) -> GoodAnswer | None:
    """Return `findings` as an answer to carry on; None unless there are some and all of them pass."""
    if not findings or any(finding.status is not Status.PASS for finding in findings):
        return None
    return GoodAnswer(now, {finding.id: finding.summary[:_MAX_SUMMARY_CHARACTERS] for finding in findings})

"""Decides which backups of a schedule may go and why the others stay; pure: takes ``now``, reads nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Policy:
    """What one schedule keeps. Rules add up: a backup stays when any of them wants it; then the size cap takes away."""

    last: int | None = None
    days: int | None = None
    hourly: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None
    max_bytes: int | None = None

    @property
    def has_rules(self) -> bool:
        """Whether any rule names what stays; without one everything stays, apart from the size cap."""
        return any(each is not None for each in (self.last, self.days, *self.periods))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ever deleted."""
        return not self.has_rules and self.max_bytes is None

    @property
    def periods(self) -> tuple[int | None, ...]:
        return (self.hourly, self.daily, self.weekly, self.monthly, self.yearly)


@dataclass(frozen=True)
class Candidate:
    """One backup that a schedule took. A damaged one holds nobody's place; ``pin`` is a reason or empty."""

    id: int
    taken_at: datetime
    bytes: int
    is_proven: bool = False
    is_damaged: bool = False
    pin: str = ""
    is_needed: bool = False


@dataclass(frozen=True)
class Decision:
    """Whether a backup stays, and the reasons why it stays or the one why it goes."""

    id: int
    is_kept: bool
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        return ", ".join(self.reasons)


def decide(policy: Policy, candidates: Sequence[Candidate], now: datetime, time_zone: str = "UTC") -> list[Decision]:
    """One decision for each candidate, newest first. Periods are those of the zone's calendar.

    The newest proven backup, the newest at all, pinned ones and those a restore's undo needs never go.
    """
    newest_first = sorted(candidates, key=lambda each: (each.taken_at, each.id), reverse=True)
    good = [each for each in newest_first if not each.is_damaged]
    forced = _find_forced(newest_first, good)
    reasons: dict[int, list[str]] = {each.id: list(forced.get(each.id, ())) for each in newest_first}
    if policy.has_rules:
        _apply_rules(policy, good, now, ZoneInfo(time_zone), reasons)
        _keep_damaged_among_kept(newest_first, good, reasons)
    else:
        for each in newest_first:
            reasons[each.id].append("no rule wants it gone")
    over = _find_over_cap(policy, newest_first, forced, reasons)
    decisions = []
    for each in newest_first:
        if each.id in over:
            decisions.append(Decision(each.id, False, ("over the size cap",)))
        elif reasons[each.id]:
            decisions.append(Decision(each.id, True, tuple(reasons[each.id])))
        else:
            decisions.append(Decision(each.id, False, ("no rule keeps it",)))
    return decisions


def _find_forced(newest_first: Sequence[Candidate], good: Sequence[Candidate]) -> dict[int, list[str]]:
    """What stays whatever the rules and the cap say."""
    forced: dict[int, list[str]] = {}
    for each in newest_first:
        if each.pin:
            forced.setdefault(each.id, []).append(f"pinned: {each.pin}")
        if each.is_needed:
            forced.setdefault(each.id, []).append("a restore of it can be undone")
    if good:
        forced.setdefault(good[0].id, []).append("the newest")
    if proven := next((each for each in good if each.is_proven), None):
        forced.setdefault(proven.id, []).append("the newest proven")
    return forced


def _apply_rules(
    policy: Policy, good: Sequence[Candidate], now: datetime, zone: ZoneInfo, reasons: dict[int, list[str]]
) -> None:
    for number, each in enumerate(good[: policy.last or 0], 1):
        reasons[each.id].append(f"one of the last {policy.last} (number {number})")
    if policy.days is not None:
        for each in good:
            if each.taken_at > now - timedelta(days=policy.days):
                reasons[each.id].append(f"younger than {policy.days} days")
    for (word, period), count in zip(_PERIODS, policy.periods, strict=True):
        seen: set[tuple[object, ...]] = set()
        for each in good:
            key = period(each.taken_at.astimezone(zone))
            if key in seen or len(seen) >= (count or 0):
                continue
            seen.add(key)
            reasons[each.id].append(f"{word} {len(seen)} of {count}")


def _keep_damaged_among_kept(
    newest_first: Sequence[Candidate], good: Sequence[Candidate], reasons: dict[int, list[str]]
) -> None:
    """A damaged file may come back from a copy, so it goes only when it is older than every good one that stays."""
    oldest_kept = min((each.taken_at for each in good if reasons[each.id]), default=None)
    for each in newest_first:
        if each.is_damaged and (oldest_kept is None or each.taken_at >= oldest_kept):
            reasons[each.id].append("damaged, and not older than what stays")


def _find_over_cap(
    policy: Policy, newest_first: Sequence[Candidate], forced: dict[int, list[str]], reasons: dict[int, list[str]]
) -> set[int]:
    """The oldest go first until what stays fits; what is forced to stay counts and stays."""
    if policy.max_bytes is None:
        return set()
    total = sum(each.bytes for each in newest_first if reasons[each.id])
    over: set[int] = set()
    for each in reversed(newest_first):
        if total <= policy.max_bytes:
            break
        if reasons[each.id] and each.id not in forced:
            over.add(each.id)
            total -= each.bytes
    return over


def _hour(at: datetime) -> tuple[object, ...]:
    # With the offset: an hour that clocks repeat in autumn is two hours.
    return (at.year, at.month, at.day, at.hour, at.utcoffset())


_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[object, ...]]], ...] = (
    ("hourly", _hour),
    ("daily", lambda at: (at.year, at.month, at.day)),
    ("weekly", lambda at: tuple(at.isocalendar()[:2])),
    ("monthly", lambda at: (at.year, at.month)),
    ("yearly", lambda at: (at.year,)),
)

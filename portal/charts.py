"""Charts drawn on the server, as SVG without a style or a script in it; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from readiness.probes.transitions import BEATS_KEPT

STEP = 4
NO_RUN = "x"


def line_path(values: Sequence[float], width: int, height: int) -> str:
    """Path data of a line through ``values``, oldest at the left; the highest value touches the top.

    Empty for fewer than two values. Zero is the bottom, so that lines can be compared by eye.
    """
    if len(values) < 2:
        return ""
    top = max(values) or 1
    step = width / (len(values) - 1)
    points = (f"{place * step:.1f} {height - value / top * (height - 2):.1f}" for place, value in enumerate(values))
    return "M" + "L".join(points)


def beat_paths(beats: str) -> list[tuple[str, str]]:
    """The beat bar as one path a status, newest beat at the right end: (letter, path data) pairs.

    ``beats`` holds one letter a run, p w f e n, newest last; what is missing is drawn as x, a run that never was.
    The view box is BEATS_KEPT * STEP wide and 24 high.
    """
    newest = beats[-BEATS_KEPT:]
    offset = BEATS_KEPT - len(newest)
    paths: dict[str, list[str]] = {}
    for place, letter in enumerate(NO_RUN * offset + newest):
        paths.setdefault(letter, []).append(f"M{place * STEP + 1.5:g} 2v20")
    return [(letter, "".join(parts)) for letter, parts in sorted(paths.items())]


def bar_path(counts: Sequence[int], width: int = 240, height: int = 40) -> str:
    """Counts as bars from the left, the tallest as high as the box; path data. None of them is an empty path."""
    most = max(counts, default=0)
    if not most:
        return ""
    step = width / len(counts)
    parts = []
    for place, count in enumerate(counts):
        if count:
            # One event among thousands is still to be seen.
            top = height - max(1.0, count / most * (height - 1))
            parts.append(f"M{place * step + step * 0.1:.2f} {height}V{top:.2f}h{step * 0.8:.2f}V{height}z")
    return "".join(parts)


@dataclass(frozen=True)
class BurnDownLines:
    """Path data of a burn-down: what was, the pace to the target, what is forecast; empty where there is no such line.

    ``first_day`` is at the left, ``last_day`` at the right, the most that was ever open at the top, zero at the bottom.
    """

    actual: str
    ideal: str
    forecast: str
    target: str
    first_day: date
    last_day: date
    top: int


def burn_down_lines(
    points: Sequence[tuple[date, int]], target: date | None, done_on: date | None, width: int, height: int
) -> BurnDownLines:
    """The lines of a burn-down. ``points`` are (day, how many are open), oldest first, at least one.

    A forecast far beyond everything else runs out of the picture at the right.
    """
    (first_day, opened), (today, now_open) = points[0], points[-1]
    known_end = max(today, target or today)
    last_day = known_end
    if done_on is not None:
        last_day = max(known_end, min(done_on, known_end + max(known_end - first_day, timedelta(days=14))))
    days = max((last_day - first_day).days, 1)
    top = max(1, *(count for _, count in points))

    def place(day: date, count: float) -> str:
        x = (day - first_day).days / days * width
        return f"{x:.1f} {height - count / top * (height - 2) - 1:.1f}"

    actual = [place(day, count) for day, count in points]
    # One point alone is drawn as a short stroke, or nobody would see it.
    actual_path = "M" + "L".join(actual) if len(actual) > 1 else f"M{actual[0]}h4"
    ideal = target_path = forecast = ""
    if target is not None and target > first_day:
        ideal = f"M{place(first_day, opened)}L{place(target, 0)}"
        target_path = f"M{place(target, top)}L{place(target, 0)}"
    if done_on is not None and done_on > today:
        end = min(done_on, last_day)
        left = now_open * (1 - (end - today).days / (done_on - today).days)
        forecast = f"M{place(today, now_open)}L{place(end, left)}"
    return BurnDownLines(actual_path, ideal, forecast, target_path, first_day, last_day, top)

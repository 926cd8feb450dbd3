"""Charts drawn on the server, as SVG without a style or a script in it; pure."""

from __future__ import annotations

from collections.abc import Sequence

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

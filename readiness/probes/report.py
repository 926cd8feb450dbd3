"""Renders results for a command line: one JSON line, or a table for people. Pure: reads results, returns text."""

import json
from collections.abc import Sequence

from readiness.probes.base import Finding, ProbeResult, Status

_MARKS = {Status.PASS: "✓", Status.WARN: "!", Status.FAIL: "✗", Status.ERROR: "?", Status.SKIPPED: "–"}
_COLOURS = {Status.PASS: "32", Status.WARN: "33", Status.FAIL: "31", Status.ERROR: "35", Status.SKIPPED: "90"}
_STATUS_WIDTH = max(len(status.value) for status in Status)


def format_json_line(result: ProbeResult) -> str:
    """Return the result as one line of JSON."""
    line = json.dumps(result.as_json_object(), ensure_ascii=False, separators=(",", ":"))
    # Bytes of the command line that are not UTF-8 are lone surrogates, which JSON can only name.
    return line.encode("utf-8", "backslashreplace").decode()


def format_table(results: Sequence[ProbeResult], *, colour: bool) -> str:
    """Return one block a target: its status, then each finding with its evidence and, where it is bad, the fix."""
    return "\n\n".join(_format_result(result, colour=colour) for result in results)


def _format_result(result: ProbeResult, *, colour: bool) -> str:
    reason = f" ({result.reason})" if result.reason else ""
    heading = f"{result.target}  {result.kind}: {result.status.value}{reason}, {result.duration_ms} ms"
    width = max((len(finding.id) for finding in result.findings), default=0)
    lines = [_paint(heading, result.status, colour=colour)]
    for finding in result.findings:
        lines += _format_finding(finding, width, colour=colour)
    return "\n".join(lines)


def _format_finding(finding: Finding, width: int, *, colour: bool) -> list[str]:
    status = _paint(f"{_MARKS[finding.status]} {finding.status.value:<{_STATUS_WIDTH}}", finding.status, colour=colour)
    lines = [f"  {status}  {finding.id:<{width}}  {printable(finding.summary)}"]
    indent = " " * (_STATUS_WIDTH + width + 8)
    if finding.detail:
        lines += [f"{indent}{line}" for line in printable(finding.detail).splitlines()]
    if finding.fix and finding.status not in (Status.PASS, Status.SKIPPED):
        lines += [
            f"{indent}{'→' if number == 0 else ' '} {line}" for number, line in enumerate(finding.fix.splitlines())
        ]
    return lines


def printable(text: str) -> str:
    """Replace control characters: a hostile target must not drive the operator's terminal."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _paint(text: str, status: Status, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS[status]}m{text}\x1b[0m" if colour else text

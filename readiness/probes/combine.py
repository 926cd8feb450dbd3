"""Makes one result of an environment's kind out of the results of its several databases; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from readiness.probes.base import ProbeResult, worst_status


def combine_results(results: Sequence[ProbeResult]) -> ProbeResult:
    """The worst of ``results``, with every finding under the name of what it is about; one alone stays as it is.

    ``results`` holds at least one result, all of one kind. ``data`` becomes ``{"targets": {label: data}}``.
    """
    if len(results) == 1:
        return results[0]
    status = worst_status(result.status for result in results)
    worst = next(result for result in results if result.status == status)
    return replace(
        worst,
        target=", ".join(result.target for result in results),
        duration_ms=max(result.duration_ms for result in results),
        findings=tuple(
            replace(finding, summary=f"{result.target}: {finding.summary}")
            for result in results
            for finding in result.findings
        ),
        data={"targets": {result.target: dict(result.data) for result in results}},
    )

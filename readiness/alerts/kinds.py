"""The kinds of alert rule: what each is called, when it fires, how often it is worth telling. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """``is_shipped`` ones exist from the start; ``threshold`` is what a rule without one of its own means."""

    key: str
    title: str
    threshold: int | None = None
    unit: str = ""
    severity: str = "critical"
    cooldown_minutes: int = 5


KINDS = {
    kind.key: kind
    for kind in (
        Kind("new_issue", "New issue at error or fatal"),
        Kind("error_rate", "Many errors in one minute", 10, "errors a minute"),
        Kind("database", "“database” in a new issue"),
        Kind("auth_failure", "Events with the tag auth-failure", 1, "events in 10 minutes", "warning"),
        Kind("probe_down", "A probe fails, and when it is well again"),
        Kind("certificate_days", "A certificate ends soon", 14, "days left", "warning", 24 * 60),
        Kind("backup_failed", "A backup failed"),
        Kind("backup_unproven", "No recent backup is proven by a restore", severity="warning", cooldown_minutes=60),
        Kind("gate_fell", "An environment is NO-GO again"),
        Kind("waiver_ending", "A waiver ends soon", 7, "days left", "warning", 24 * 60),
        Kind("tracker_silent", "An error tracker does not answer", 15, "minutes", "warning", 60),
    )
}

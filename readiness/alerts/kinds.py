"""The kinds of alert rule: what each is called, when it fires, how often it is worth telling. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """``threshold`` is what a rule without one of its own means; a rule of every kind exists from the start."""

    key: str
    title: str
    title_de: str
    threshold: int | None = None
    unit: str = ""
    severity: str = "critical"
    cooldown_minutes: int = 5


KINDS = {
    kind.key: kind
    for kind in (
        Kind("new_issue", "New issue at error or fatal", "Neuer Fehler, Stufe error oder fatal"),
        Kind("error_rate", "Many errors in one minute", "Viele Fehler in einer Minute", 10, "errors a minute"),
        Kind("database", "“database” in a new issue", "„database“ in einem neuen Fehler"),
        Kind(
            "auth_failure",
            "Events with the tag auth-failure",
            "Ereignisse mit dem Tag auth-failure",
            1,
            "events in 10 minutes",
            "warning",
        ),
        Kind(
            "probe_down",
            "A probe fails, and when it is well again",
            "Eine Sonde schlägt an, und wenn sie wieder gut ist",
        ),
        Kind(
            "certificate_days",
            "A certificate ends soon",
            "Ein Zertifikat läuft bald ab",
            14,
            "days left",
            "warning",
            24 * 60,
        ),
        Kind("backup_failed", "A backup failed", "Ein Backup ist fehlgeschlagen"),
        Kind(
            "backup_late",
            "A scheduled backup is late",
            "Ein geplantes Backup ist überfällig",
            60,
            "minutes late",
            "critical",
            60,
        ),
        Kind(
            "backup_unproven",
            "No recent backup is proven by a restore",
            "Kein aktuelles Backup ist durch eine Wiederherstellung belegt",
            severity="warning",
            cooldown_minutes=60,
        ),
        Kind(
            "wal_lag",
            "WAL lags: a standby, a slot, the archiver",
            "WAL hinkt nach: Standby, Slot oder Archivierung",
            cooldown_minutes=30,
        ),
        Kind("gate_fell", "The verdict of an environment falls", "Der Stand einer Umgebung fällt"),
        Kind(
            "waiver_ending",
            "A waiver ends soon",
            "Eine Ausnahme läuft bald ab",
            7,
            "days left",
            "warning",
            24 * 60,
        ),
        Kind(
            "tracker_silent",
            "An error tracker does not answer",
            "Ein Error-Tracker antwortet nicht",
            15,
            "minutes",
            "warning",
            60,
        ),
        Kind(
            "events_dropped",
            "An error tracker drops events",
            "Ein Error-Tracker verwirft Ereignisse",
            1,
            "events in 24 hours",
            "warning",
            24 * 60,
        ),
    )
}

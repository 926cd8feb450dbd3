"""Rules about backups, alerts and what CI posts; pure."""

from __future__ import annotations

from datetime import timedelta

from readiness.checklists.evidence import Evidence, EvidenceState, judged, unknown
from readiness.checklists.facts import Facts

ACKNOWLEDGED_FOR = timedelta(days=90)
SECRET_BITS = 256


def backups_are_proven(facts: Facts) -> Evidence:
    backups = facts.backups
    if facts.is_backup_proven:
        return Evidence(EvidenceState.VERIFIED, "The newest backup was proven by a restore.", backups.newest_proven_at)
    if backups.newest_proven_at is not None:
        return Evidence(EvidenceState.STALE, "The newest proof is too old or incomplete.", backups.newest_proven_at)
    if backups.last_error:
        return Evidence(EvidenceState.FAILING, backups.last_error, backups.last_failed_at)
    return unknown("No backup has been proven yet.")


def restore_is_proven(facts: Facts) -> Evidence:
    """Some backup was restored into a new database, and the result equalled what it had recorded."""
    proven_at = facts.backups.newest_proven_at
    if proven_at is None:
        return unknown("No backup has been restored and compared yet.")
    if facts.now - proven_at > facts.proof_valid_for:
        return Evidence(EvidenceState.STALE, f"No restore within {facts.proof_valid_for.days} days.", proven_at)
    return judged(True, "A restore equalled what its backup had recorded.", proven_at)


def alert_is_acknowledged(facts: Facts) -> Evidence:
    """An alert of this environment was delivered, and somebody acknowledged it."""
    at = facts.alert_acknowledged_at
    if at is None:
        return unknown("No alert of this environment was delivered and acknowledged yet.")
    if facts.now - at > ACKNOWLEDGED_FOR:
        return Evidence(EvidenceState.STALE, f"The last one was more than {ACKNOWLEDGED_FOR.days} days ago.", at)
    return judged(True, "An alert was delivered and acknowledged.", at)


def settings_are_set(facts: Facts) -> Evidence:
    """CI says that all names are set, that the secrets are long enough, and that the schema is PostgreSQL's."""
    names = {name.partition(".")[2]: fact for name, fact in facts.posted.items() if name.startswith("setting.")}
    bits = {name.partition(".")[2]: fact for name, fact in facts.posted.items() if name.startswith("secret_bits.")}
    provider = facts.posted.get("schema_provider")
    if not names or not bits or provider is None:
        return unknown("Let CI post which settings are set, how many bits each secret has, and the schema’s provider.")
    name, fact = min(facts.posted.items(), key=lambda item: item[1].at)
    oldest = fact.at
    if facts.now - oldest > facts.posted_valid_for:
        text = f"CI has not posted {name} within {facts.posted_valid_for.days} days."
        return Evidence(EvidenceState.STALE, text, oldest, True)
    missing = sorted(name for name, fact in names.items() if fact.value is not True)
    if missing:
        return judged(False, f"Not set: {', '.join(missing)}.", oldest)
    short = sorted(name for name, fact in bits.items() if fact.value < SECRET_BITS)
    if short:
        return judged(False, f"Shorter than {SECRET_BITS} bits: {', '.join(short)}.", oldest)
    if provider.value not in {"postgres", "postgresql"}:
        return judged(False, f"The schema’s provider is {provider.value}.", oldest)
    return judged(True, f"{len(names)} settings are set, and {len(bits)} secrets are long enough.", oldest)

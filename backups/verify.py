"""Verifies backups (reads them to the end), proves them (restores and compares); writes outcomes to the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backups import (
    catalogue,
    copying,
    job_runner,
    names,
    pg_binaries,
    pg_commands,
    proof_checks,
    restoring,
    scratch,
)
from backups.dumps import require_success
from backups.errors import ErrorCode, JobError, Place
from backups.models import Backup, ProofAssertion, Verification
from backups.process import Child
from backups.progress import RestoreProgress
from backups.proof_servers import choose_proof_server

Outcome = Verification.Outcome
# A key that is missing or another's says nothing about the artifact: such a reading could not tell.
_READING_FAILED = frozenset({ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_DAMAGED})
_RESTORE_FAILED = frozenset({ErrorCode.TOOL_FAILED, ErrorCode.TABLE_DROPPED, ErrorCode.NOT_EQUAL})
_CANNOT_BE_DONE_HERE = frozenset(
    {ErrorCode.NOT_PROVABLE, ErrorCode.NO_CREATEDB, ErrorCode.PERMISSION, ErrorCode.CLIENT_MISSING}
)


def verify(verification_id: int, notice: job_runner.Notice | None = None) -> Verification | None:
    """Read the whole backup: manifest, sha256, age, zstd, archive. None when it was not queued any more."""
    verification = catalogue.claim(Verification, verification_id)
    if verification is None:
        return None
    with job_runner.running(verification, notice) as run:
        try:
            compared = _read_everything(run, verification)
        except JobError as error:
            if error.code not in _READING_FAILED | _RESTORE_FAILED:
                raise
            catalogue.finish_verification(verification, Outcome.FAIL, detail=error.sentence)
        else:
            detail = f"All {compared['bytes']:,} bytes are as they were written and can be read to the end."
            for store, sentence in compared["not_read"].items():
                detail += f" The copy in {store} is not: {sentence}"
            catalogue.finish_verification(verification, Outcome.PASS, detail=detail, compared=compared)
    return Verification.objects.get(pk=verification_id)


def prove(verification_id: int, notice: job_runner.Notice | None = None) -> Verification | None:
    """Restore the backup into a scratch database and compare. None when it was not queued any more."""
    verification = catalogue.claim(Verification, verification_id)
    if verification is None:
        return None
    with job_runner.running(verification, notice) as run:
        try:
            proof = _restore_and_look(run, verification)
        except JobError as error:
            if error.code in _CANNOT_BE_DONE_HERE:
                catalogue.finish_verification(verification, Outcome.NOT_PROVABLE, detail=error.sentence)
            elif error.code in _READING_FAILED:
                found_by = Verification.Kind.VERIFY
                catalogue.finish_verification(
                    verification, Outcome.FAIL, detail=error.sentence, damage_found_by=found_by
                )
            elif error.code in _RESTORE_FAILED:
                catalogue.finish_verification(verification, Outcome.FAIL, detail=error.sentence)
            else:
                raise
        else:
            catalogue.finish_verification(
                verification,
                Outcome.PASS if proof.holds else Outcome.FAIL,
                detail=proof.sentence,
                compared=proof.as_json_object(),
                # Rows that do not say what their owner expects are whole all the same, and may be what is wanted back.
                is_damage=not proof.comparison.is_equal,
            )
    return Verification.objects.get(pk=verification_id)


def _read_everything(run: job_runner.JobRun, verification: Verification) -> dict[str, Any]:
    backup = verification.backup
    spoiled = copying.look_at_all(run, backup)
    run.enter("reading", 0)
    copying.require_there(run, backup)
    client = pg_binaries.find_reader(backup)
    command = pg_commands.read_archive(client.pg_restore)

    def show_reading(_phase: str, percent: int | None) -> None:
        run.show("reading", percent)

    progress = RestoreProgress(show_reading, backup.bytes or 0)
    with run.child(command, reads_stdin=True) as child:
        (read,) = run.wait_for(lambda: restoring.feed_artifact(run, backup, child, progress))
        run.wait_for(lambda: _require_readable(child, backup.artifact))
    return {"sha256": read.sha256, "bytes": read.bytes, "plain_bytes": read.plain_bytes, "not_read": spoiled}


def _require_readable(child: Child, artifact: str) -> None:
    """pg_restore warns about some damage and still ends with 0: any complaint counts."""
    require_success(child, Place("on this machine", "", artifact))
    if complaint := child.complaint.strip():
        raise JobError(
            ErrorCode.TOOL_FAILED, f"pg_restore complains about {artifact}: {complaint.splitlines()[0][:300]}."
        )


@dataclass(frozen=True)
class Proof:
    """What a restore into a scratch database on ``server`` showed; ``checks`` are sentences about what was fine."""

    server: str
    comparison: restoring.Comparison
    checks: tuple[str, ...]
    assertions: tuple[proof_checks.Asserted, ...]

    @property
    def failed(self) -> list[proof_checks.Asserted]:
        """The assertions that do not hold."""
        return [each for each in self.assertions if each.holds is False]

    @property
    def holds(self) -> bool:
        return self.comparison.is_equal and not self.failed

    @property
    def sentence(self) -> str:
        """The result for people."""
        if self.comparison.is_equal and self.failed:
            return f"What its owner asserts does not hold, “{self.failed[0].name}”: {self.failed[0].said}"
        return self.comparison.sentence

    def as_json_object(self) -> dict[str, Any]:
        return {
            "server": self.server,
            **self.comparison.as_json_object(),
            "checks": list(self.checks),
            "assertions": [each.as_json_object() for each in self.assertions],
        }


def _restore_and_look(run: job_runner.JobRun, verification: Verification) -> Proof:
    # With its database, because other threads must not ask the catalogue for it.
    backup = Backup.objects.select_related("database").get(pk=verification.backup_id)
    copying.choose_copy(run, backup)
    # A restore refuses what has no manifest as it was written, so that is not proven either.
    copying.require_there(run, backup)
    run.enter("choosing a server")
    (chosen,) = run.wait_for(lambda: choose_proof_server(backup, run.application_name))
    name = names.name_proof_database(verification.pk)
    # They speak of the database that the connection names, not of others of its server.
    own = backup.database_id if not backup.sibling else None
    assertions = list(ProofAssertion.objects.filter(database=own)) if own else []
    where = chosen.server.place.server
    with scratch.made(run, verification, chosen, name, backup.metadata, reads_indexes=True) as made:
        scratch.restore_into(run, backup, made)
        (found,) = run.wait_for(lambda: restoring.read_restored(made.server, backup, run.application_name, sums=True))
        comparison = restoring.compare(backup, found, made.notes)
        if not comparison.is_equal:
            return Proof(where, comparison, (), ())
        run.enter("looking at constraints and indexes", 98)
        run.wait_for(lambda: proof_checks.require_valid(made.server, backup.metadata, run.application_name))
        if made.reads_indexes:
            proof_checks.check_indexes(run, made.client, made.server)
        run.enter("asking what the owner asserts", 99)
        asserted = proof_checks.run_assertions(run, made.server, backup, assertions)
    return Proof(where, comparison, _describe_checks(comparison, reads_indexes=made.reads_indexes), tuple(asserted))


def _describe_checks(comparison: restoring.Comparison, *, reads_indexes: bool) -> tuple[str, ...]:
    checks = []
    if comparison.checksums:
        checks.append(f"The contents of {comparison.checksums:,} of {comparison.tables:,} tables have their checksums.")
    checks.append("Every constraint and index that was valid is valid.")
    if reads_indexes:
        checks.append("pg_amcheck found every table and index sound.")
    return tuple(checks)

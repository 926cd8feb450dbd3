"""Verifies backups (reads them to the end), proves them (restores and compares); writes outcomes to the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backups import (
    catalogue,
    job_runner,
    names,
    pg_binaries,
    pg_commands,
    proof_checks,
    proof_roles,
    restoring,
    servers,
    storage,
)
from backups.dumps import require_success
from backups.errors import ErrorCode, JobError, Place
from backups.models import Backup, ProofAssertion, Verification
from backups.process import Child
from backups.progress import RestoreProgress
from backups.proof_servers import ProofServer, choose_proof_server

Outcome = Verification.Outcome
# A key that is missing or another's says nothing about the artifact: such a reading could not tell.
_READING_FAILED = frozenset({ErrorCode.ARTIFACT_MISSING, ErrorCode.ARTIFACT_DAMAGED})
_RESTORE_FAILED = frozenset({ErrorCode.TOOL_FAILED, ErrorCode.NOT_EQUAL})
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
    run.enter("reading", 0)
    storage.check_manifest(backup.artifact, backup.manifest_sha256)
    storage.open_artifact(backup.artifact).close()
    client = pg_binaries.find_client(int(backup.metadata["server_version_num"]) // 10000)
    command = pg_commands.read_archive(client.pg_restore)

    def show_reading(_phase: str, percent: int | None) -> None:
        run.show("reading", percent)

    progress = RestoreProgress(show_reading, backup.bytes or 0)
    with run.child(command, reads_stdin=True) as child:
        (read,) = run.wait_for(lambda: restoring.feed_artifact(run, backup, child, progress))
        run.wait_for(lambda: _require_readable(child, backup.artifact))
    return {"sha256": read.sha256, "bytes": read.bytes, "plain_bytes": read.plain_bytes}


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
    def holds(self) -> bool:
        return self.comparison.is_equal and all(each.holds for each in self.assertions)

    @property
    def sentence(self) -> str:
        """The result for people."""
        failed = [each for each in self.assertions if not each.holds]
        if self.comparison.is_equal and failed:
            return f"What its owner asserts does not hold, “{failed[0].name}”: {failed[0].said}"
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
    run.enter("choosing a server")
    storage.open_artifact(backup.artifact).close()
    (chosen,) = run.wait_for(lambda: choose_proof_server(backup, run.application_name))
    client = pg_binaries.find_client(chosen.facts.major)
    database = names.name_proof_database(verification.pk)
    role = database if proof_roles.may_make_role(chosen.facts) else ""
    reads_indexes = _may_read_indexes(chosen, client)
    assertions = list(ProofAssertion.objects.filter(database=backup.database_id)) if backup.database_id else []
    run.enter("creating a scratch database")
    catalogue.note_scratch(verification, chosen.kind, database, role)
    with restoring.dropped_afterwards(run, chosen.server, database, role):
        as_proof, entries = chosen.server, None
        if role:
            (as_proof,) = run.wait_for(lambda: proof_roles.create_role(chosen.server, role, run.application_name))
        notes = restoring.create_scratch(run, chosen.server, database, backup.metadata, role)
        scratch = as_proof.with_database(database)
        if role:
            if reads_indexes:
                ours = chosen.server.with_database(database)
                run.wait_for(lambda: proof_checks.prepare_amcheck(ours, role, run.application_name))
            entries = _prepare_for_role(run, backup, chosen.server.with_database(database), scratch, client.pg_restore)
        run.enter("restoring", 0)
        try:
            restoring.restore_artifact(
                run, backup, scratch, client.pg_restore, keep_owners=False, for_proof=True, entries=entries
            )
        except JobError as error:
            if role and error.code in {ErrorCode.NOT_PROVABLE, ErrorCode.PERMISSION}:
                raise _needs_more_rights(error) from None
            raise
        run.enter("comparing", 97)
        if role:
            run.wait_for(lambda: proof_roles.see_all_rows(scratch, run.application_name))
        (found,) = run.wait_for(lambda: restoring.read_restored(scratch, backup, run.application_name, sums=True))
        comparison = restoring.compare(backup, found, notes)
        where = chosen.server.place.server
        if not comparison.is_equal:
            return Proof(where, comparison, (), ())
        run.enter("looking at constraints and indexes", 98)
        run.wait_for(lambda: proof_checks.require_valid(scratch, backup.metadata, run.application_name))
        if reads_indexes:
            proof_checks.check_indexes(run, client, scratch)
        run.enter("asking what the owner asserts", 99)
        asserted = proof_checks.run_assertions(run, scratch, backup, assertions)
    return Proof(where, comparison, _describe_checks(comparison, reads_indexes=reads_indexes), tuple(asserted))


def _may_read_indexes(chosen: ProofServer, client: pg_binaries.ClientBinaries) -> bool:
    """pg_amcheck needs an extension that only a superuser may make."""
    return chosen.facts.is_superuser and "amcheck" in chosen.facts.extensions and client.find("pg_amcheck") is not None


def _describe_checks(comparison: restoring.Comparison, *, reads_indexes: bool) -> tuple[str, ...]:
    checks = []
    if comparison.checksums:
        checks.append(f"The contents of {comparison.checksums:,} of {comparison.tables:,} tables have their checksums.")
    checks.append("Every constraint and index that was valid is valid.")
    if reads_indexes:
        checks.append("pg_amcheck found every row in its indexes.")
    return tuple(checks)


def _prepare_for_role(
    run: job_runner.JobRun, backup: Backup, ours: servers.Server, scratch: servers.Server, pg_restore: Path
) -> list[str] | None:
    """Make what the proof's role may not: the extensions. What is left to restore, or None for everything."""
    role = scratch.place.user
    extensions = backup.metadata.get("extensions", [])
    run.wait_for(lambda: proof_roles.require_login(scratch, run.application_name))
    (made,) = run.wait_for(lambda: proof_roles.create_extensions(ours, role, extensions, run.application_name))
    if not made:
        return None
    there = {f" SCHEMA - {schema} " for schema in made}
    return [
        line for line in restoring.read_contents(run, backup, pg_restore) if not any(each in line for each in there)
    ]


def _needs_more_rights(error: JobError) -> JobError:
    return JobError(
        ErrorCode.NOT_PROVABLE,
        f"A proof runs without the rights of a superuser, and this backup asks for more ({error.said}): "
        "look at what it holds, and restore it into a new database if you trust it.",
    )

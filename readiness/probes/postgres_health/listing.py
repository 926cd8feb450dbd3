"""Judges a query that returns only what is in trouble, worst first: most findings are one `Listing`. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, worst_of
from readiness.probes.postgres_health.thresholds import Thresholds

TRY_AGAIN = "Nothing to do yet: the next run tries again. If it stays so, look at locks and load of the server."


@dataclass(frozen=True, slots=True)
class Listing:
    """How the rows of one query become one finding.

    `headline` makes a clause of how many there are, `describe` names one of them, `statement` is the SQL that mends it
    ("" for none), `advice` a sentence above the statements. `needs_sessions`: without pg_monitor, no rows mean nothing.
    """

    id: str
    query: str
    clean: str
    headline: Callable[[int], str]
    describe: Callable[[Row], str]
    statement: Callable[[Row], str]
    grade: Callable[[Row, Thresholds], Status] = lambda row, thresholds: Status.WARN
    advice: str = ""
    needs_sessions: bool = False


def judge_listing(case: Examination, listing: Listing) -> Finding:
    """Return the finding: skipped when the query was not read or shows too little, else the worst of its rows."""
    if listing.query in case.seen.unread:
        return make_unread(case, listing.id, listing.query)
    troubled = [(row, listing.grade(row, case.thresholds)) for row in case.rows(listing.query)]
    troubled = [(row, status) for row, status in troubled if status is not Status.PASS]
    if not troubled:
        if listing.needs_sessions and not case.sees_all_sessions:
            return make_hidden_sessions(case, listing.id)
        return Finding(listing.id, Status.PASS, listing.clean)
    rows = [row for row, _ in troubled]
    total = max(len(rows), max(count(row, "total") for row in rows))
    described = [listing.describe(row) for row in rows]
    statements = dict.fromkeys(statement for row in rows if (statement := listing.statement(row)))
    more = [f"and {total - len(rows)} more"] if total > len(rows) else []
    return Finding(
        id=listing.id,
        status=worst_of(*(status for _, status in troubled)),
        summary=f"{listing.headline(total)}: {described[0]}.",
        detail="\n".join([*described[1:], *more]),
        fix="\n".join([*([listing.advice] if listing.advice else []), *statements]),
    )


def make_unread(case: Examination, finding_id: str, query: str) -> Finding:
    """Return the finding of a query that the server did not answer."""
    return Finding(finding_id, Status.SKIPPED, case.seen.unread[query], fix=TRY_AGAIN)


def make_hidden_sessions(case: Examination, finding_id: str) -> Finding:
    """Return the finding of a role that may not look at the sessions of others."""
    summary = "The role may not see what other sessions do."
    return Finding(finding_id, Status.SKIPPED, summary, fix=case.grant_monitor)

"""Judges what keeps data right: foreign keys, validated constraints, triggers, sequences with room. Pure."""

from readiness.probes.base import Finding, Status
from readiness.probes.postgres_health.facts import Examination, Row, count, number, plural, text
from readiness.probes.postgres_health.listing import Listing, judge_listing, make_unread
from readiness.probes.postgres_health.thresholds import grade


def judge_constraints(case: Examination) -> list[Finding]:
    return [
        judge_tables(case),
        judge_foreign_keys(case),
        judge_listing(case, _WITHOUT_INDEX),
        judge_listing(case, _UNVALIDATED),
        judge_listing(case, _TRIGGERS),
        judge_sequences(case),
    ]


def judge_tables(case: Examination) -> Finding:
    tables = count(case.overview, "table_count")
    if tables:
        return Finding(
            "tables", Status.PASS, f"There {'is' if tables == 1 else 'are'} {plural(tables, 'table', 'tables')}."
        )
    return Finding("tables", Status.WARN, "The database has no tables.", fix="Run the application's migrations.")


def judge_foreign_keys(case: Examination) -> Finding:
    """Not one foreign key: a finding among many tables, or where columns are named after other tables."""
    tables, keys = count(case.overview, "table_count"), count(case.overview, "foreign_key_count")
    if keys:
        return Finding(
            "foreign_keys", Status.PASS, f"{plural(keys, 'foreign key keeps', 'foreign keys keep')} references."
        )
    if "reference_columns" in case.seen.unread:
        return make_unread(case, "foreign_keys", "reference_columns")
    unguarded = case.rows("reference_columns")
    if not unguarded and tables < case.thresholds.foreign_key_tables:
        return Finding("foreign_keys", Status.PASS, "No column looks as if it needed a foreign key.")
    names = [f"{text(row, 'on_table')}.{text(row, 'name')} names {text(row, 'to_table')}" for row in unguarded]
    example = f", such as {names[0]}" if names else ""
    return Finding(
        id="foreign_keys",
        status=Status.WARN,
        summary=f"{plural(tables, 'table', 'tables')} and not one foreign key{example}.",
        detail="\n".join(names[1:]),
        fix="\n".join(
            ["Nothing keeps rows from pointing at rows that are gone. Declare the references in the schema, as:"]
            + [_declare_reference(row) for row in unguarded if row.get("may_refer") is True]
        ),
    )


def _declare_reference(row: Row) -> str:
    # A partitioned table takes none that is not valid, before PostgreSQL 18.
    later = "" if row.get("is_partitioned") is True else " NOT VALID"
    key = f"FOREIGN KEY ({text(row, 'name')}) REFERENCES {text(row, 'to_table')}"
    return f"ALTER TABLE {text(row, 'on_table')} ADD {key}{later};"


def _create_index(row: Row) -> str:
    # A partitioned table takes no index concurrently.
    concurrently = "" if row.get("is_partitioned") is True else " CONCURRENTLY"
    return f"CREATE INDEX{concurrently} ON {text(row, 'on_table')} ({text(row, 'columns')});"


_WITHOUT_INDEX = Listing(
    id="foreign_key_without_index",
    query="foreign_keys_without_index",
    clean="Every foreign key has an index.",
    headline=lambda total: f"{plural(total, 'foreign key has', 'foreign keys have')} no index",
    describe=lambda row: (
        f"{text(row, 'name')} on {text(row, 'on_table')} ({text(row, 'columns')}) to {text(row, 'to_table')}"
    ),
    statement=_create_index,
    advice="Each delete in the table referred to reads the whole referring table. Index it, in the schema, too:",
)
_UNVALIDATED = Listing(
    id="unvalidated_constraint",
    query="unvalidated_constraints",
    clean="Every constraint is validated.",
    headline=lambda total: f"{plural(total, 'constraint was', 'constraints were')} never validated",
    describe=lambda row: f"{text(row, 'name')} ({text(row, 'what')}) on {text(row, 'of_what')}",
    statement=lambda row: (
        f"ALTER {'DOMAIN' if row.get('is_of_domain') is True else 'TABLE'} {text(row, 'of_what')} "
        f"VALIDATE CONSTRAINT {text(row, 'name')};"
    ),
    advice="Rows from before may break it. Mend them; then:",
)


def _describe_trigger(row: Row) -> str:
    if row.get("is_internal") is True:
        return f"{plural(count(row, 'triggers'), 'trigger', 'triggers')} behind foreign keys on {text(row, 'on_table')}"
    return f"{text(row, 'name')} on {text(row, 'on_table')}"


_TRIGGERS = Listing(
    id="disabled_trigger",
    query="disabled_triggers",
    clean="No trigger is disabled.",
    headline=lambda total: f"{plural(total, 'trigger is', 'triggers are')} disabled",
    describe=_describe_trigger,
    statement=lambda row: (
        f"ALTER TABLE {text(row, 'on_table')} ENABLE TRIGGER "
        f"{'ALL' if row.get('is_internal') is True else text(row, 'name')};"
    ),
    advice="An import may have left it so. Check what happened meanwhile; then:",
)


def _widen(row: Row) -> str:
    """Both the column and the sequence may hold the numbers back, and widening a type leaves limits as they are."""
    statements = []
    limit = "MINVALUE" if row.get("is_descending") is True else "MAXVALUE"
    table, column = text(row, "on_table"), text(row, "column_quoted")
    if table and column and text(row, "column_type") in ("smallint", "integer"):
        statements.append(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE bigint;")
    if row.get("is_limited") is True or not statements:
        statements.append(f"ALTER SEQUENCE {text(row, 'name')} AS bigint NO {limit};")
    return "\n".join(statements)


def _describe_sequence(row: Row) -> str:
    table, column, kind = text(row, "on_table"), text(row, "column_quoted"), text(row, "column_type")
    fills = f" for {table}.{column} ({kind})" if table and column else ""
    return f"{text(row, 'name')}{fills} is used to {number(row, 'percent') or 0:.0f} %"


_SEQUENCES = Listing(
    id="sequences",
    query="sequences",
    clean="No sequence nears its end.",
    headline=lambda total: f"{plural(total, 'sequence nears', 'sequences near')} its end",
    describe=_describe_sequence,
    statement=_widen,
    grade=lambda row, limits: (
        grade(number(row, "percent"), limits.sequence_warn_percent, limits.sequence_fail_percent)
        if row.get("is_near") is True
        else Status.PASS
    ),
    advice="At its end every INSERT fails. Widen it and what refers to it; this rewrites and locks the table:",
)


def judge_sequences(case: Examination) -> Finding:
    """A sequence whose value is hidden is never fine."""
    finding = judge_listing(case, _SEQUENCES)
    hidden = [row for row in case.rows("sequences") if row.get("is_near") is not True]
    if finding.status is not Status.PASS or not hidden:
        return finding
    unreadable = max(count(row, "unreadable") for row in hidden) or len(hidden)
    summary = f"The role may not read {plural(unreadable, 'sequence', 'sequences')}, such as {text(hidden[0], 'name')}."
    return Finding("sequences", Status.SKIPPED, summary, fix=case.grant_read)

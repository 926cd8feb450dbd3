"""Statements are shown without what people wrote into them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.probes.postgres_health.statement_text import MAX_SHOWN, mask_statement

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT * FROM t1 WHERE id = $1 AND a = 5", "SELECT * FROM t1 WHERE id = $1 AND a = ?"),
        ("ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD ?"),
        ("SELECT 'it''s', E'a\\'b', 1", "SELECT ?, ?, ?"),
        ("SELECT $$hunter2$$, $x$ $$ hunter2 $x$ FROM a", "SELECT ?, ? FROM a"),
        ("SELECT 'unfinished hunter2", "SELECT ?"),
        ('SELECT "it\'s" FROM "t 1"', 'SELECT "it\'s" FROM "t 1"'),
        ("SELECT 1 -- hunter2\nFROM t /* hunter2 */ LIMIT 2", "SELECT ? FROM t LIMIT ?"),
        ("SELECT 1.5e-10, .5, 0x1F, 1_000, -3", "SELECT ?, ?, ?, ?, -?"),
        ("SELECT  a\n,\tb", "SELECT a , b"),
        # Whether this string ends at \\' depends on a setting of the server.
        ("SELECT 'a\\', ' hunter2 '", "SELECT ?"),
        ("SELECT /* a /* b */ hunter2 */ 1", "SELECT ?"),
        ("SELECT U&'hunter2', B'101', x'1F'", "SELECT U&?, B?, x?"),
    ],
)
def test_it_shows_no_literal(statement: str, shown: str) -> None:
    assert mask_statement(statement) == shown


def test_it_masks_before_it_cuts() -> None:
    shown = mask_statement("SELECT " + "column_name, " * 100 + "'hunter2'")
    assert len(shown) == MAX_SHOWN and shown.endswith("…")


@patient
@given(st.text(max_size=200), st.text(alphabet="abcdefgh ", min_size=8, max_size=8))
def test_it_shows_no_string_wherever_it_stands(before: str, secret: str) -> None:
    """Whatever stands before it, a quoted string is masked, or what comes before was never closed and is masked too."""
    harmless = before.replace("'", "").replace('"', "").replace("$", "").replace("/", "").replace("-", "")
    assert f"'{secret}'" not in mask_statement(f"{harmless} '{secret}' x")


@patient
@given(st.text(max_size=300))
def test_it_masks_any_text_in_bounds(statement: str) -> None:
    assert len(mask_statement(statement)) <= MAX_SHOWN

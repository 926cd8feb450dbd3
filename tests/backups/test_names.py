"""Names of databases that restores may make, and of those the portal makes for itself."""

from __future__ import annotations

import pytest

from backups import names
from backups.errors import RequestError


@pytest.mark.parametrize("name", ["shop_back", "_x", "Shop-2026.03", "a$b", "x" * 63])
def test_it_takes_plain_names(name: str) -> None:
    names.check_restore_name(name)


@pytest.mark.parametrize("name", ["", "a;b", 'a"b', "x" * 64, "1st", "ümlaut", "a b", "a\n"])
def test_it_refuses_names_that_need_quoting_to_be_read(name: str) -> None:
    with pytest.raises(RequestError, match="needs a name"):
        names.check_restore_name(name)


@pytest.mark.parametrize("name", ["postgres", "Template1", "template0", "preflight_proof_1_00000000", "PREFLIGHT_x"])
def test_it_refuses_names_that_are_kept(name: str) -> None:
    with pytest.raises(RequestError, match="is kept for"):
        names.check_restore_name(name)


def test_it_knows_its_own_scratch_databases_and_nobody_elses() -> None:
    for name in (names.name_proof_database(7), names.name_restoring_database(7)):
        assert names.is_scratch(name)
        assert len(name) <= 63
    for name in (
        "preflight",
        "preflight_proof_7",
        "preflight_proof_7_0123abcdx",
        "shop",
        "x_preflight_proof_7_0123abcd",
    ):
        assert not names.is_scratch(name)

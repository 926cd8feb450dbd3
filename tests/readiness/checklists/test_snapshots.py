"""A snapshot is what was sealed, to the byte, or it is refused with one sentence; a chain has no gap."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from portal import keys
from readiness.checklists import canonical_json
from readiness.checklists.canonical_json import CanonicalError
from readiness.checklists.snapshots import Snapshot, SnapshotError, check_chain, open_snapshot, seal
from tests.conftest import PROJECT

KEY = Ed25519PrivateKey.generate()
CONTENT = {"environment": {"slug": "shop"}, "gate": {"verdict": "GO"}, "note": "Größe “ok”"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def make_chain(length: int, **content: Any) -> list[Snapshot]:
    chain: list[Snapshot] = []
    for number in range(1, length + 1):
        previous = chain[-1].hash if chain else None
        chain.append(seal({**CONTENT, **content}, number=number, previous=previous, key=KEY))
    return chain


@given(VALUES)
def test_it_spells_every_value_in_one_way(value: Any) -> None:
    spelled = canonical_json.encode(value)

    assert canonical_json.decode(spelled) == value
    assert canonical_json.encode(canonical_json.decode(spelled)) == spelled


def test_it_spells_as_the_rfc_does() -> None:
    value = {"b": [1, True, None], "a": '€$\u000f\nA\'B"\\\\"/', "A": {}}

    assert canonical_json.encode(value) == '{"A":{},"a":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/","b":[1,true,null]}'.encode()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'"\\u0041"',
        b"1.0",
        b"1e3",
        b"-0",
        b"NaN",
        b"\xff",
        b"",
        b"[" * 99999,
    ],
)
def test_it_reads_no_other_spelling(raw: bytes) -> None:
    with pytest.raises(CanonicalError):
        canonical_json.decode(raw)


@pytest.mark.parametrize("value", [0.5, 2**53, {"ü": 1}, {1: 1}, {"x": {1}}, "\ud800"])
def test_it_spells_nothing_that_could_be_read_in_two_ways(value: Any) -> None:
    with pytest.raises(CanonicalError):
        canonical_json.encode(value)


def test_it_opens_what_it_sealed() -> None:
    first, second = make_chain(2)

    opened = open_snapshot(second.raw, KEY.public_key())

    assert opened == second
    assert (opened.number, opened.previous) == (2, first.hash)
    assert opened.document["gate"] == {"verdict": "GO"}


def test_it_refuses_one_altered_byte_wherever_it_is() -> None:
    raw = make_chain(1)[0].raw
    for place in range(len(raw)):
        # The neighbours of a byte, its other case, and a digit that may fit as well.
        for other in {raw[place] ^ 1, raw[place] ^ 32, ord("0"), ord("1"), ord(" ")} - {raw[place]}:
            altered = raw[:place] + bytes([other]) + raw[place + 1 :]
            with pytest.raises(SnapshotError) as refused:
                open_snapshot(altered, KEY.public_key())
            assert str(refused.value).count(".") == 1, (place, str(refused.value))


def test_it_refuses_a_byte_more_or_less_wherever_it_is() -> None:
    raw = make_chain(1)[0].raw
    for place in range(len(raw) + 1):
        with pytest.raises(SnapshotError):
            open_snapshot(raw[:place] + b" " + raw[place:], KEY.public_key())
        with pytest.raises(SnapshotError):
            open_snapshot(raw[:place] + raw[place + 1 :] if place < len(raw) else raw + b"\n", KEY.public_key())


def test_it_refuses_what_somebody_else_signed() -> None:
    with pytest.raises(SnapshotError, match="another key"):
        open_snapshot(make_chain(1)[0].raw, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"{}\n", b"[]\n", b'"x"\n', b"\x00" * 9 + b"\n", b"1\n", b"{" * 99_999 + b"\n"]
)
def test_it_refuses_what_is_no_snapshot(raw: bytes) -> None:
    with pytest.raises(SnapshotError, match="is no snapshot"):
        open_snapshot(raw, KEY.public_key())


def test_it_follows_a_whole_chain() -> None:
    check_chain(make_chain(3))
    check_chain([])


def test_a_chain_goes_on_when_its_environment_is_called_something_else() -> None:
    first = make_chain(1)[0]
    renamed = seal({**CONTENT, "environment": {"slug": "other"}}, number=2, previous=first.hash, key=KEY)

    check_chain([first, renamed])


def test_it_sees_a_gap_a_swap_and_a_stranger_in_a_chain() -> None:
    first, second, third = make_chain(3)
    other = make_chain(2, environment={"slug": "other"})[1]
    for broken in ([second, third], [first, third], [first, third, second], [first, first], [first, other]):
        with pytest.raises(SnapshotError, match="The chain is broken"):
            check_chain(broken)


def test_the_commands_of_the_how_to_come_to_the_same_result(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "how-to" / "verify-a-snapshot.md").read_text(encoding="utf-8")
    by_hand = page.partition("## By hand")[2].partition("## The key")[0]
    commands = "\n".join(line[4:] for line in by_hand.splitlines() if line.startswith("    "))
    snapshot = make_chain(1)[0]
    (tmp_path / "preflight-snapshot-key.pem").write_text(keys.public_key_pem(KEY.public_key()))

    def run(raw: bytes) -> str:
        (tmp_path / "snapshot.json").write_bytes(raw)
        return subprocess.run(["sh", "-c", commands], cwd=tmp_path, capture_output=True, text=True, check=False).stdout

    assert run(snapshot.raw) == f"Signature Verified Successfully\n{snapshot.hash}  document\n"
    altered = run(snapshot.raw.replace(b'"GO"', b'"NO"'))
    assert "Verified" not in altered
    assert snapshot.hash not in altered

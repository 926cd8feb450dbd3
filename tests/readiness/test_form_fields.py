"""Sizes as people write them."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from readiness.form_fields import LARGEST_BYTES, BytesField, write_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("1 kB", 1024),
        ("10GB", 10 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("1,5 g", 3 * 2**29),
        (" 0 ", 0),
        ("", None),
    ],
)
def test_it_reads_sizes(text: str, size: int | None) -> None:
    assert BytesField().clean(text) == size


@pytest.mark.parametrize("text", ["-1", "ten", "1 PB", "1e9", "1.2.3 GB", "9999999 TB", "GB", "5 B B"])
def test_it_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ValidationError):
        BytesField().clean(text)


@given(st.integers(min_value=0, max_value=2**40))
def test_it_reads_what_it_wrote(size: int) -> None:
    assert BytesField().clean(write_bytes(size)) == size


@given(st.text(max_size=40))
def test_it_raises_nothing_but_a_sentence(text: str) -> None:
    try:
        size = BytesField().clean(text)
    except ValidationError:
        return
    assert size is None or 0 <= size <= LARGEST_BYTES

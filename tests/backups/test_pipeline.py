"""Bytes through zstd, age and sha256 and back; every damage is noticed."""

from __future__ import annotations

import hashlib
import io
import random
from typing import Any

import pyrage
import pytest
import zstandard

from backups import pipeline
from backups.errors import ErrorCode

IDENTITY = pyrage.x25519.Identity.generate()
PLAIN = b"".join(hashlib.sha256(str(n).encode()).hexdigest().encode() + b"\trow of a table\n" for n in range(20_000))


class Sink:
    """Keeps what it is given, and the largest piece of it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.largest = 0

    def write(self, data: bytes) -> None:
        self.data += data
        self.largest = max(self.largest, len(data))


def write(plain: bytes = PLAIN) -> tuple[bytes, pipeline.Written]:
    target = io.BytesIO()
    written = pipeline.write_stream(io.BytesIO(plain), target, [IDENTITY.to_public()], 3)
    return target.getvalue(), written


def read(file: bytes, identity: Any = IDENTITY) -> tuple[pipeline.ReadBack, bytes]:
    sink = Sink()
    return pipeline.read_stream(io.BytesIO(file), sink, [identity]), bytes(sink.data)


@pytest.mark.parametrize("plain", [b"", b"x", PLAIN], ids=["nothing", "one byte", "a megabyte"])
def test_it_gives_back_what_it_was_given(plain: bytes) -> None:
    file, written = write(plain)
    back, data = read(file)
    assert data == plain
    assert written == pipeline.Written(len(file), hashlib.sha256(file).hexdigest(), len(plain))
    assert back == pipeline.ReadBack(len(file), written.sha256, len(plain), None)


def test_it_writes_what_age_and_zstd_read() -> None:
    file, _ = write()
    frame = pyrage.decrypt(file, [IDENTITY])
    assert zstandard.get_frame_parameters(frame).has_checksum
    assert zstandard.ZstdDecompressor().decompressobj().decompress(frame) == PLAIN


def test_it_notices_every_flipped_bit() -> None:
    file, written = write()
    for seed in range(60):
        damaged = bytearray(file)
        damaged[random.Random(seed).randrange(len(file))] ^= 1 << (seed % 8)
        assert read(bytes(damaged))[0].sha256 != written.sha256


@pytest.mark.parametrize("keep", [0, 1, 100, 200, 0.5, -1], ids=str)
def test_it_notices_a_missing_end(keep: float) -> None:
    file, written = write()
    kept = file[: int(len(file) * keep)] if isinstance(keep, float) else file[: keep if keep >= 0 else len(file) + keep]
    back, _ = read(kept)
    assert back.problem == ErrorCode.ARTIFACT_DAMAGED
    assert back.bytes == len(kept)
    assert back.sha256 == hashlib.sha256(kept).hexdigest() != written.sha256


def test_it_tells_a_wrong_key_from_damage_and_hashes_the_file_all_the_same() -> None:
    file, written = write()
    back, data = read(file, pyrage.x25519.Identity.generate())
    assert back.problem == ErrorCode.WRONG_KEY
    assert back.sha256 == written.sha256
    assert data == b""


def test_it_reads_in_small_pieces_whatever_the_ratio() -> None:
    file, _ = write(bytes(64 * 1024 * 1024))
    assert len(file) < 100_000
    sink = Sink()
    pipeline.read_stream(io.BytesIO(file), sink, [IDENTITY])
    assert sink.largest <= pipeline.READ_BYTES


def test_it_reads_to_the_end_for_a_program_that_has_ended() -> None:
    class Deaf(Sink):
        def write(self, data: bytes) -> None:
            raise BrokenPipeError

    file, written = write()
    back = pipeline.read_stream(io.BytesIO(file), Deaf(), [IDENTITY])
    assert (back.sha256, back.plain_bytes, back.problem) == (written.sha256, len(PLAIN), None)


def test_it_tells_how_far_it_is() -> None:
    file, _ = write()
    heard: list[int] = []
    pipeline.read_stream(io.BytesIO(file), Sink(), [IDENTITY], heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == len(file)


def test_it_raises_what_the_disk_said() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pipeline.write_stream(io.BytesIO(PLAIN), Full(), [IDENTITY.to_public()], 3)


def test_it_raises_what_the_source_said() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        pipeline.write_stream(Broken(), io.BytesIO(), [IDENTITY.to_public()], 3)
    file = io.BytesIO(write()[0])
    with pytest.raises(OSError, match="Input/output"):
        pipeline.read_stream(Broken(), Sink(), [IDENTITY])
    assert pipeline.hash_stream(file)[0] == len(file.getvalue())

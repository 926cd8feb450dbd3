"""Streams a dump through zstd, age and sha256 into a file and back, in constant memory; starts no process.

A file is: age( zstd with frame checksum( what pg_dump wrote ) ); the sha256 is of the file. So recovery by hand is
`age --decrypt | zstd -d | pg_restore`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

import pyrage
import zstandard

from backups.errors import ErrorCode

READ_BYTES = 256 * 1024
JOB_BYTES = 1024 * 1024


class Sink(Protocol):
    """Where plain bytes go."""

    def write(self, data: bytes, /) -> Any: ...


@dataclass(frozen=True)
class Written:
    """What came out: size and sha256 of the file, and how many bytes went in."""

    bytes: int
    sha256: str
    plain_bytes: int


@dataclass(frozen=True)
class ReadBack:
    """What a whole reading saw: of the file its size and sha256, and how many plain bytes it gave.

    ``problem`` is None, or why it could not be opened to the end: WRONG_KEY or ARTIFACT_DAMAGED.
    """

    bytes: int
    sha256: str
    plain_bytes: int
    problem: ErrorCode | None = None


def write_stream(
    source: IO[bytes],
    target: IO[bytes],
    recipients: Sequence[Any],
    level: int,
    on_bytes: Callable[[int], None] | None = None,
) -> Written:
    """Compress and encrypt all of ``source`` into ``target``. Raises what either of them raises.

    ``on_bytes`` hears how many bytes of ``source`` have passed so far.
    The end of ``source`` does not mean that it ended well: ask the process behind it.
    """
    counted = _CountingReader(source, on_bytes)
    compressor = _build_compressor(level)
    hashed = _HashingWriter(target)
    try:
        pyrage.encrypt_io(_Guarded(compressor.stream_reader(counted, read_size=READ_BYTES)), hashed, recipients)
    except pyrage.EncryptError:
        # pyrage turns an exception of ours into text; the first cause is what happened.
        raise counted.error or hashed.error or OSError("encryption failed") from None
    return Written(hashed.count, hashed.hexdigest(), counted.count)


def read_stream(
    source: IO[bytes], sink: Sink, identities: Sequence[Any], on_bytes: Callable[[int], None] | None = None
) -> ReadBack:
    """Decrypt and decompress all of ``source`` into ``sink``, hashing the file on the way, to its last byte.

    ``on_bytes`` hears how many bytes of the file were read so far. A sink that stops listening (a program that has
    ended) does not stop the reading; an OSError out of ``on_bytes`` does. Raises OSError of ``source``.
    """
    hashed = _HashingReader(source, on_bytes)
    plain = _TolerantSink(sink)
    problem: ErrorCode | None = None
    try:
        zstd: Any = zstandard.ZstdDecompressor()
        decompressor = zstd.stream_writer(plain, write_size=READ_BYTES, closefd=False)
        pyrage.decrypt_io(hashed, _Guarded(decompressor), identities)
        decompressor.flush()
    except (pyrage.DecryptError, zstandard.ZstdError, OSError) as error:
        if hashed.error is not None:
            raise hashed.error from None
        wrong_key = isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error)
        problem = ErrorCode.WRONG_KEY if wrong_key else ErrorCode.ARTIFACT_DAMAGED
    hashed.read_rest()
    return ReadBack(hashed.count, hashed.hexdigest(), plain.count, problem)


def hash_stream(source: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> tuple[int, str]:
    """Size and sha256 of all that ``source`` gives; ``on_bytes`` as of `read_stream`."""
    hashed = _HashingReader(source, on_bytes)
    hashed.read_rest()
    return hashed.count, hashed.hexdigest()


def _build_compressor(level: int) -> Any:
    """One thread of zstd's own, so that compressing and encrypting overlap; small jobs keep its memory small."""
    parameters = zstandard.ZstdCompressionParameters.from_level(level, write_checksum=1, threads=1, job_size=JOB_BYTES)
    return zstandard.ZstdCompressor(compression_params=parameters)


class _Guarded:
    """Passes reads or writes on, without the flush and close that would end a stream early."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return bytes(self._stream.read(size))

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        return


class _CountingReader:
    def __init__(self, source: IO[bytes], on_bytes: Callable[[int], None] | None) -> None:
        self._source = source
        self._on_bytes = on_bytes
        self.count = 0
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._source.read(size)
        except BaseException as error:
            self.error = error
            raise
        self.count += len(data)
        if self._on_bytes is not None:
            self._on_bytes(self.count)
        return data


class _HashingWriter:
    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.count = 0
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            self._target.write(data)
        except BaseException as error:
            self.error = error
            raise
        self._hash.update(data)
        self.count += len(data)
        return len(data)

    def flush(self) -> None:
        return

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _HashingReader:
    def __init__(self, source: IO[bytes], on_bytes: Callable[[int], None] | None = None) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._on_bytes = on_bytes
        self.count = 0
        self.error: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._source.read(size)
            if self._on_bytes is not None:
                self._on_bytes(self.count + len(data))
        except OSError as error:
            self.error = error
            raise
        self._hash.update(data)
        self.count += len(data)
        return data

    def read_rest(self) -> None:
        while self.read(READ_BYTES):
            pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _TolerantSink:
    """Goes on counting when the program behind the pipe has ended; its exit status tells what that means."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._is_open = True
        self.count = 0

    def write(self, data: bytes) -> int:
        self.count += len(data)
        if self._is_open:
            try:
                self._sink.write(data)
            except (BrokenPipeError, ValueError):
                # ValueError: the pipe was closed because the job is being stopped.
                self._is_open = False
        return len(data)

    def flush(self) -> None:
        return

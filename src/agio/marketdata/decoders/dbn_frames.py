"""Databento DBN files down to sound MBO records: unpacked, framed and checked before the vendor's decoder.

`databento-dbn` aborts on records that are shorter than their type says, so the framing is checked here first,
and what is no MBO record never reaches it. Compressed input is unpacked in small pieces.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, Final, TypeVar

import zstandard
from databento_dbn import DBNDecoder, MBOMsg, Metadata, Schema

from agio.marketdata.findings import Finding

T = TypeVar("T")

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
DBN_MAGIC: Final = b"DBN"
MAX_BYTES: Final = 64 * 1024**3
MAX_METADATA: Final = 16 * 1024**2

_PIECE: Final = 1024
_PREFIX: Final = 8
_MBO_TYPE: Final = 0xA0
_MBO_BYTES: Final = 56
_MBO_UNITS: Final = _MBO_BYTES // 4
_SHORTEST: Final = 16
_NO_MBO: Final = "the metadata says that the records are not market by order (schema mbo)"
_SILENT_TYPES: Final = frozenset({0x15, 0x16, 0x17})
"""Errors, symbol mappings and system messages of a live session kept as a file."""


class Framed:
    """The metadata and the MBO records of one file."""

    def __init__(self, stream: BinaryIO, max_bytes: int = MAX_BYTES) -> None:
        self._plain = _unpacked(stream, max_bytes)
        self._buffer = bytearray()
        self._decoder = DBNDecoder()
        self._record = 0

    def metadata(self) -> Metadata | Finding:
        """What the file says of itself; to be asked for once, before the records."""
        finding = self._fill(_PREFIX)
        if finding is not None:
            return finding
        length = _PREFIX + int.from_bytes(self._buffer[4:_PREFIX], "little")
        if not self._buffer.startswith(DBN_MAGIC) or length > MAX_METADATA:
            return Finding("header", 0, f"no metadata of DBN: {bytes(self._buffer[:_PREFIX])!a}")
        finding = self._fill(length)
        if finding is not None:
            return finding
        found = _guarded(lambda: self._decode(self._take(length)), 0)
        if isinstance(found, Finding):
            return Finding("header", 0, found.detail)
        metadata = found[0] if found else None
        is_mbo = isinstance(metadata, Metadata) and metadata.schema == Schema.MBO
        return metadata if isinstance(metadata, Metadata) and is_mbo else Finding("header", 0, _NO_MBO)

    def records(self) -> Iterator[tuple[int, MBOMsg | Finding]]:
        """Numbered records from 1; a finding about the file itself is the last."""
        for piece in chain((b"",), self._plain):  # the first records may have come with the metadata
            if isinstance(piece, Finding):
                yield self._record + 1, Finding(piece.code, self._record + 1, piece.detail)
                return
            self._buffer += piece
            for number, item in self._sound_records():
                yield number, item
                if isinstance(item, Finding) and item.code == "truncated":
                    return
        if self._buffer:
            detail = f"{len(self._buffer)} bytes of a record are left"
            yield self._record + 1, Finding("truncated", self._record + 1, detail)

    def _sound_records(self) -> Iterator[tuple[int, MBOMsg | Finding]]:
        buffer = self._buffer
        count = len(buffer) // _MBO_BYTES
        size = count * _MBO_BYTES
        is_plain = count > 0 and buffer[:size:_MBO_BYTES].count(_MBO_UNITS) == count
        if is_plain and buffer[1:size:_MBO_BYTES].count(_MBO_TYPE) == count:
            yield from self._read(self._take(size), count)
        while len(buffer) >= 2:
            length, kind = 4 * buffer[0], buffer[1]
            number = self._record + 1
            if length < _SHORTEST:
                detail = f"a record of {length} bytes: the rest of the file cannot be read"
                yield number, Finding("truncated", number, detail)
                return
            if len(buffer) < length:
                return
            content = self._take(length)
            if kind == _MBO_TYPE and length >= _MBO_BYTES:
                yield from self._read(content, 1)
                continue
            self._record = number
            if kind not in _SILENT_TYPES:
                yield number, Finding("shape", number, f"type {kind:#04x} of {length} bytes is no MBO record")

    def _read(self, content: bytes, count: int) -> Iterator[tuple[int, MBOMsg | Finding]]:
        first = self._record + 1
        self._record += count
        found = _guarded(lambda: self._decode(content), first)
        if isinstance(found, Finding):
            yield first, found
            return
        for number, record in enumerate(found, start=first):
            if isinstance(record, MBOMsg):
                yield number, record

    def _decode(self, content: bytes) -> list[object]:
        self._decoder.write(content)
        return list(self._decoder.decode())

    def _take(self, size: int) -> bytes:
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _fill(self, size: int) -> Finding | None:
        while len(self._buffer) < size:
            piece = next(self._plain, None)
            if piece is None:
                return Finding("truncated", 0, "the file ends within its metadata")
            if isinstance(piece, Finding):
                return piece
            self._buffer += piece
        return None


def _guarded(call: Callable[[], T], record: int) -> T | Finding:
    """What the vendor's decoder says, its panics included: they are no `Exception` in Python."""
    try:
        return call()
    except Exception as fault:
        return Finding("shape", record, str(fault)[:200])
    except BaseException as fault:
        if type(fault).__name__ != "PanicException":
            raise
        return Finding("shape", record, str(fault)[:200])


def _unpacked(stream: BinaryIO, max_bytes: int) -> Iterator[bytes | Finding]:
    total = 0
    first = stream.read(len(ZSTD_MAGIC))
    stream.seek(0)
    for piece in _unzip(stream) if first == ZSTD_MAGIC else iter(lambda: stream.read(_PIECE), b""):
        if isinstance(piece, bytes):
            total += len(piece)
            if total > max_bytes:
                yield Finding("too_long", 0, f"the file is longer than {max_bytes} bytes")
                return
        yield piece


def _unzip(stream: BinaryIO) -> Iterator[bytes | Finding]:
    """Frame after frame; a frame without its end is a truncated file."""
    unzip, is_open = zstandard.ZstdDecompressor().decompressobj(), False
    try:
        while packed := stream.read(_PIECE):
            while packed:
                is_open = True
                yield unzip.decompress(packed)
                if not unzip.eof:
                    break
                packed, is_open = unzip.unused_data, False
                unzip = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as fault:
        yield Finding("truncated", 0, f"the compressed data is damaged: {fault}")
        return
    if is_open:
        yield Finding("truncated", 0, "the compressed data has no end: the file is cut")

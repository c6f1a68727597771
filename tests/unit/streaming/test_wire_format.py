"""Frames, encodings and chunks."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.streaming.fakes import trade
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from agio.platform.channels import Push
from agio.streaming.chunks import Chunk, frame_chunks, split
from agio.streaming.encoding import Encoding, Form, encode_snapshot, form_of
from agio.streaming.errors import InvalidOperation
from agio.streaming.frames import BINARY, TEXT, frame
from agio.streaming.messages import Subscribe, decode_operation


def plain(encoding: Encoding) -> Form:
    return form_of(encoding, is_packed=False)


def parse(data: bytes) -> list[Frame]:
    """Read frames with an independent implementation."""
    reader = StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    found = []
    while len(reader.buffer):
        parser = Frame.parse(reader.read_exact, mask=False)
        try:
            while True:
                next(parser)
        except StopIteration as stop:
            found.append(stop.value)
    return found


def pushes(count: int, first: int = 1) -> list[Push]:
    return [
        Push(q=first + i, t=1000 + first + i, d=msgspec.json.encode(trade(first + i))) for i in range(count)
    ]


class TestFrames:
    @pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
    @pytest.mark.parametrize(("first_byte", "opcode"), [(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)])
    def test_any_length_reads_back(self, length: int, first_byte: int, opcode: Opcode) -> None:
        (read,) = parse(frame(first_byte, b"x" * length))

        assert (read.opcode, len(read.data), read.fin) == (opcode, length, True)


class TestChunks:
    @given(
        st.lists(st.integers(1, 20), min_size=1, max_size=4),
        st.sampled_from([Encoding.JSON, Encoding.MSGPACK]),
    )
    def test_chunks_share_one_frame(self, sizes: list[int], encoding: Encoding) -> None:
        chunks, first = [], 1
        for size in sizes:
            chunks.append(Chunk(7, b'"ES"', pushes(size, first)))
            first += size
        (read,) = parse(frame_chunks(plain(encoding), chunks))
        decode = msgspec.json.decode if encoding is Encoding.JSON else msgspec.msgpack.decode
        content = decode(read.data)

        expected = [
            {"n": 7, "q": push.q, "t": push.t, "d": msgspec.json.decode(push.d)}
            for push in pushes(sum(sizes))
        ]
        assert content == (expected if len(expected) > 1 else expected[0])

    def test_large_array_in_msgpack(self) -> None:
        (read,) = parse(Chunk(1, b'"ES"', pushes(70_000)).framed(plain(Encoding.MSGPACK)))

        assert len(msgspec.msgpack.decode(read.data)) == 70_000

    def test_simple_form_is_one_frame_per_trade_with_numbers(self) -> None:
        frames = parse(Chunk(1, b'"ES"', pushes(3)).framed(plain(Encoding.SIMPLE)))

        assert msgspec.json.decode(frames[0].data) == {
            "symbol": "ES",
            "price": 1601.25,
            "volume": 2,
            "timestamp": "2013-09-01T17:00:00.083000Z",
        }
        assert len(frames) == 3

    def test_the_same_bytes_serve_everybody(self) -> None:
        chunk = Chunk(1, b'"ES"', pushes(3))

        assert chunk.framed(plain(Encoding.JSON)) is chunk.framed(plain(Encoding.JSON))

    def test_book_deltas_name_their_predecessor(self) -> None:
        chunk = Chunk(1, b'"ES"', [Push(q=9, t=1, d=b'{"bids":[],"asks":[]}', p=4, crc=77)])
        (text,) = parse(chunk.framed(plain(Encoding.JSON)))
        (packed,) = parse(chunk.framed(plain(Encoding.MSGPACK)))

        assert msgspec.json.decode(text.data) == msgspec.msgpack.decode(packed.data)
        assert msgspec.json.decode(text.data)["p"] == 4

    def test_snapshot_in_both_encodings(self) -> None:
        push = Push(q=9, t=1, d=b'{"bids":[],"asks":[]}', crc=77, snapshot=True)
        (text,) = parse(encode_snapshot(Encoding.JSON, 3, push))
        (packed,) = parse(encode_snapshot(Encoding.MSGPACK, 3, push))

        assert msgspec.json.decode(text.data) == msgspec.msgpack.decode(packed.data)
        assert msgspec.json.decode(text.data)["op"] == "snap"

    @given(st.integers(1, 60), st.integers(1, 2_000))
    def test_split_loses_nothing(self, count: int, chunk_bytes: int) -> None:
        chunks = list(split(1, b'"ES"', pushes(count), chunk_bytes))

        assert [push.q for chunk in chunks for push in chunk.pushes] == list(range(1, count + 1))

    @given(st.integers(0, 12))
    def test_after_cuts_what_was_seen(self, seen: int) -> None:
        part = Chunk(1, b'"ES"', pushes(10)).after(seen)

        assert [push.q for push in part.pushes] if part else list(range(seen + 1, 11)) == []


class TestOperations:
    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"[]",
            b"{}",
            b'{"op":"nope"}',
            b'{"op":"sub"}',
            b'{"op":"sub","ch":5}',
            b"[" * 60_000,
            b'{"op":"sub","ch":[{"ch":"a:b","from":{"seq":"1"}}]}',
            b'{"op":"ping","x":' + b'{"a":' * 10_000,
        ],
    )
    def test_nonsense_is_an_invalid_operation(self, text: bytes) -> None:
        with pytest.raises(InvalidOperation):
            decode_operation(Encoding.JSON, text)

    def test_names_and_objects_may_be_mixed(self) -> None:
        operation = decode_operation(
            Encoding.JSON,
            b'{"id":1,"op":"sub","ch":["a:b",{"ch":"c:d","from":{"epoch":"k","seq":3}}],"future":1}',
        )

        assert isinstance(operation, Subscribe)
        assert operation.ch[0] == "a:b"

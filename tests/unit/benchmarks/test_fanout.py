"""The subscribers of `agio bench stream` must not overlook what a server loses, repeats or garbles."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from zlib import crc32

import msgspec
import pytest

from agio.platform.embedded.ports import free_port
from benchmarks.fanout.books import check_book
from benchmarks.fanout.cases import find_latencies, is_complete
from benchmarks.fanout.frames import Chunk, Reader, read_json, read_msgpack, read_nats
from benchmarks.fanout.orders import Told
from benchmarks.fanout.swarm import Door, Swarm
from benchmarks.harness import ROOT


def frame(payload: bytes, first: int = 0x81) -> bytes:
    size = len(payload)
    return bytes((first, size)) + payload if size < 126 else bytes((first, 126, *size.to_bytes(2))) + payload


def push(q: int, **more: object) -> dict[str, object]:
    return {"n": 1, "q": q, "t": 1_000 * q, "d": {}, **more}


def read(*messages: object) -> Chunk:
    return Reader(read_json).chunk(b"".join(frame(msgspec.json.encode(message)) for message in messages))


class TestReader:
    def test_single_pushes_and_arrays_follow_one_another(self) -> None:
        chunk = read(push(5), [push(6), push(7)])
        assert (chunk.previous, chunk.first, chunk.last, chunk.count) == (4, 5, 7, 3)
        assert chunk.is_consecutive
        assert chunk.times == [(5, 5_000), (6, 6_000), (7, 7_000)]

    @pytest.mark.parametrize("sequences", [(5, 7), (5, 5), (6, 5)])
    def test_a_hole_a_repetition_and_a_wrong_order_are_seen(self, sequences: tuple[int, int]) -> None:
        assert not read(*map(push, sequences)).is_consecutive

    def test_the_begin_of_a_frame_is_kept_for_the_next_read(self) -> None:
        data = frame(msgspec.json.encode(push(5))) + frame(msgspec.json.encode(push(6)))
        reader = Reader(read_json)
        first = reader.chunk(data[:-3])
        assert (first.last, first.count) == (5, 1)
        assert reader.chunk(first.rest + data[-3:]).last == 6

    def test_both_encodings_read_equal(self) -> None:
        pushes = [push(8), push(9)]
        chunk = Reader(read_msgpack).chunk(frame(msgspec.msgpack.encode(pushes), 0x82))
        assert chunk == read(pushes)

    def test_control_messages_are_no_pushes(self) -> None:
        chunk = read({"op": "hb", "count": 3}, {"id": 1, "subs": [], "errs": []})
        assert (chunk.count, chunk.controls) == (0, ["hb", ""])

    def test_pings_and_close_codes_are_told(self) -> None:
        chunk = Reader(read_json).chunk(frame(b"", 0x89) + frame(b"\x0f\xa8slow", 0x88))
        assert (chunk.pings, chunk.close_code) == (1, 4008)

    def test_deltas_of_a_book_name_their_predecessor(self) -> None:
        snapshot = {"op": "snap", **push(10)}
        assert read(snapshot, push(12, p=10), push(15, p=12)).is_consecutive
        assert not read(snapshot, push(12, p=11)).is_consecutive

    def test_a_nats_message_may_lie_in_two_frames(self) -> None:
        text = msgspec.json.encode(push(5))
        lines = b"PING\r\nMSG all 1 %d\r\n%b\r\n" % (len(text), text)
        chunk = Reader(read_nats).chunk(frame(lines[:20], 0x82) + frame(lines[20:], 0x82))
        assert (chunk.first, chunk.count, chunk.rest) == (5, 1, b"")


BIDS, ASKS = [["10.00", "2"]], [["10.10", "3"]]


class TestBooks:
    def test_a_wrong_checksum_is_counted(self) -> None:
        snapshot = {"op": "snap", "q": 1, "d": {"bids": BIDS, "asks": ASKS}, "crc": crc32(b"1010310002")}
        right = {"q": 2, "p": 1, "d": {"bids": [["10.00", "5"]], "asks": []}, "crc": crc32(b"1010310005")}
        wrong = {"q": 3, "p": 2, "d": {"bids": [["10.00", "7"]], "asks": []}, "crc": crc32(b"1010310005")}
        frames = [frame(msgspec.json.encode(message)) for message in (snapshot, right, wrong)]
        assert check_book(b"".join(frames[:2])) == (2, 0)
        assert check_book(b"".join(frames)) == (2, 1)


@pytest.fixture
def floor() -> Iterator[tuple[int, int]]:
    """The simplest of the peers: its ports for subscribers and for the publisher."""
    port, publisher_port = free_port(), free_port()
    command = [sys.executable, str(ROOT / "benchmarks/peers/bare.py"), str(port), str(publisher_port)]
    process = subprocess.Popen(command)
    try:
        yield port, publisher_port
    finally:
        process.terminate()
        process.wait()


def open_swarm(port: int, count: int) -> Swarm:
    swarm = Swarm(Door(port, "/"), Reader(read_json))
    deadline = time.monotonic() + 60
    while True:
        try:
            swarm.grow(count)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return swarm


class TestSwarm:
    def test_everybody_is_counted_and_a_sample_is_timed(self, floor: tuple[int, int]) -> None:
        swarm = open_swarm(floor[0], 25)
        begun_ns = time.time_ns()
        with socket.create_connection(("127.0.0.1", floor[1])) as publisher:
            publisher.sendall(b"".join(msgspec.json.encode(push(q)) + b"\n" for q in (1, 2, 3)))
            swarm.run(lambda: all(one.last >= 3 for one in swarm.subscribers))
        told = Told(first=1, last=3, messages=1, moments=[(3, begun_ns)])
        assert all(is_complete(one, told) for one in swarm.subscribers)
        since_told, since_taken = find_latencies(swarm.subscribers, told)
        assert len(since_told) == len(since_taken) == 3
        assert min(since_told) >= 0
        assert not is_complete(swarm.subscribers[0], Told(first=1, last=4))
        swarm.close()

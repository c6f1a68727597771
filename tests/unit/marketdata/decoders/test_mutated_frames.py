"""Frames of the recordings with something hostile in them: told, never raised, no number beyond bounds."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agio.marketdata.decoders import binance, bitstamp, coinbase, gemini, kraken, okx
from agio.marketdata.decoders.decoder import Decoder
from agio.marketdata.decoders.recording import Recording, read_recording
from agio.marketdata.normalised import BookSnapshot, BookUpdate, Instrument, Malformed, Message, Trade

FRAMES = 80
"""How many of a recording are mutated, each in several ways."""
LONGEST = 20_000
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, float("nan"), float("inf"), 10**30, -(10**30), 2**63, 2**64),
    *("", "0", "-1", "-0", "NaN", "Infinity", "1e5", "1e999", "9" * 39, "9" * 38, "0." + "0" * 37 + "1"),
    *("\x00", "\ud800", "\u0663", "\u00b2", " 1", "1 ", "x" * 100_000, [], {}, [[]], ["1", "2"]),
    *("snapshot", "update", ["9" * 38, "9" * 38], {"a": []}),
)
VENUES: dict[str, tuple[Any, type[Decoder], str]] = {
    "KRAKEN": (kraken.read_instruments, kraken.KrakenDecoder, "AssetPairs"),
    "OKX": (okx.read_instruments, okx.OkxDecoder, "public/instruments"),
    "COINBASE": (coinbase.read_instruments, coinbase.CoinbaseDecoder, "market/products"),
    "BINANCE": (binance.read_instruments, binance.BinanceDecoder, "exchangeInfo"),
    "BITSTAMP": (bitstamp.read_instruments, bitstamp.BitstampDecoder, "trading-pairs-info"),
    "GEMINI": (lambda body: [gemini.read_instrument(body)], gemini.GeminiDecoder, "symbols/details"),
}


@pytest.fixture(scope="module", params=VENUES)
def venue(request: pytest.FixtureRequest, real_data: Path) -> tuple[Decoder, list[str]]:
    """The venue's decoder, and some of its frames."""
    read, make, url = VENUES[request.param]
    recording: Recording = read_recording(real_data / "market" / "ws" / f"{request.param}.jsonl.zst")
    instruments: list[Instrument] = [
        one for answer in recording.answers(url) for one in read(answer.data) if one is not None
    ]
    frames = [event.data for event in recording.received() if len(event.data) < LONGEST]
    return make(instruments), Random(1).sample(frames, min(FRAMES, len(frames)))


def test_a_value_in_place_of_another_never_raises(venue: tuple[Decoder, list[str]]) -> None:
    decoder, frames = venue
    random = Random(2)
    malformed = 0
    for frame in frames:
        for _ in range(6):
            told = decoder.decode(mutated(frame, random), 7)
            check(told)
            malformed += any(isinstance(message, Malformed) for message in told)
    assert malformed > FRAMES, "what is mutated is mostly told"


def test_bytes_that_flip_go_or_come_never_raise(venue: tuple[Decoder, list[str]]) -> None:
    decoder, frames = venue
    random = Random(3)
    for frame in frames:
        for _ in range(6):
            check(decoder.decode(damaged(frame, random), 7))


@pytest.mark.parametrize(
    "frame",
    [
        "x" * 10**7,
        '"' + "x" * 10**7 + '"',
        '{"event":"' + "x" * 10**7 + '"}',
        '{"a":' * 10**6,
        b"\xff" * 10**6,
    ],
    ids=["text", "string", "event", "nested", "bytes"],
)
def test_a_frame_of_ten_megabytes_is_told_in_a_few_characters(
    venue: tuple[Decoder, list[str]], frame: str | bytes
) -> None:
    told = venue[0].decode(frame, 7)

    assert all(
        len(message.detail) + len(message.excerpt) < 1000
        for message in told
        if isinstance(message, Malformed)
    )


def check(told: list[Message]) -> None:
    for message in told:
        venue_ns = getattr(message, "venue_ns", None)
        assert venue_ns is None or 0 <= venue_ns < 2**63
        match message:
            case BookSnapshot():
                assert all(level.price > 0 and level.size > 0 for level in (*message.bids, *message.asks))
            case BookUpdate():
                assert all(level.price > 0 and level.size >= 0 for level in message.changes)
            case Trade():
                assert message.price > 0
                assert message.size >= 0


def mutated(frame: str, random: Random) -> str:
    """The frame with a value replaced, taken away or told twice."""
    message = json.loads(frame)
    path = random.choice(list(paths(message)))
    if not path:
        return json.dumps(random.choice(HOSTILE))
    *way, last = path
    parent = message
    for step in way:
        parent = parent[step]
    kind = random.random()
    if kind < 0.7:
        parent[last] = deepcopy(random.choice(HOSTILE))
    elif kind < 0.85:
        del parent[last]
    elif isinstance(parent, list):
        parent.insert(last, deepcopy(parent[last]))
    return json.dumps(message)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths(part, (*path, key))


def damaged(frame: str, random: Random) -> bytes:
    content = bytearray(frame.encode())
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(len(content) + 1)
        match random.randrange(4):
            case 0 if place < len(content):
                content[place] ^= 1 << random.randrange(8)
            case 1:
                del content[place : place + random.randrange(1, 20)]
            case 2:
                content[place:place] = random.randbytes(random.randrange(1, 8))
            case _:
                del content[place:]
    return bytes(content)

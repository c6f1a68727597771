"""10,000 changes of a book each second: nothing lost, and every checksum right."""

import signal
from typing import Final

import msgspec

from agio_sdk.book import Book, BookMessage, Change
from benchmarks.fanout.cases import Measured, measure
from benchmarks.fanout.frames import payloads
from benchmarks.fanout.orders import TellBook
from benchmarks.fanout.stand import Node, Stand
from benchmarks.harness import Report

SYMBOL: Final = "ETH-USD"
SUBSCRIBERS: Final = 100
RATE: Final = 10_000.0


class _Message(msgspec.Struct):
    """A snapshot or delta; of other messages `q` is 0."""

    q: int = 0
    p: int | None = None
    op: str = ""
    d: BookMessage | None = None
    crc: int = 0


_decode = msgspec.json.Decoder(list[_Message] | _Message).decode


def measure_books(report: Report, stand: Stand, node: Node, seconds: float) -> Measured:
    """Our market tells the books here, so the engine is paused: it would answer for them as well."""
    engine = stand.platform.find("agio", "engine")
    engine.send_signal(signal.SIGSTOP)
    swarm = node.swarm(f"book:{SYMBOL}", "json")
    try:
        swarm.grow(SUBSCRIBERS)
        checked = swarm.subscribers[SUBSCRIBERS // 2]
        checked.raw = [checked.rest]
        measured = measure(node, swarm, stand.market, TellBook(SYMBOL, RATE, seconds))
        raw = b"".join(checked.raw)
    finally:
        swarm.close()
        engine.send_signal(signal.SIGCONT)
    case = f"book, {SUBSCRIBERS} subscribers, {RATE:g}/s"
    measured.since_taken.clear()
    measured.report(report, case)
    right, wrong = check_book(raw)
    report.figure(case, "checksums right", right, "deltas")
    is_held = measured.is_complete and wrong == 0 and right >= measured.told
    report.bar(
        f"{RATE:,.0f} book deltas/s to {SUBSCRIBERS}, none lost",
        f"= {SUBSCRIBERS}",
        measured.complete,
        is_held=is_held,
    )
    return measured


def check_book(raw: bytes) -> tuple[int, int]:
    """Keep the book as the SDK does: how often its checksum was right, and how often anything was wrong."""
    book = Book(SYMBOL)
    right = wrong = 0
    for payload in payloads(raw):
        found = _decode(payload)
        for message in found if isinstance(found, list) else [found]:
            if message.d is None:
                continue
            if message.op == "snap":
                change = book.load(message.d, message.q, message.crc)
            else:
                change = book.apply(message.d, message.q, message.p, message.crc)
            right += change is Change.APPLIED
            wrong += change in (Change.GAP, Change.CHECKSUM)
    return right, wrong

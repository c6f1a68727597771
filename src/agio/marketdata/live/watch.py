"""Counters and states of one live source and of its symbols, for operators and dashboards."""

from collections.abc import Iterable

from agio.marketdata.events import BookSource, FeedSource, VenueState
from agio.marketdata.feeds.port import FeedState, FeedStatus
from agio.marketdata.feeds.skew import ClockSkew
from agio.marketdata.normalised import Message, Verdict
from agio.platform.clock import Clock

NOT_CONNECTED = "not connected"
_STATES: dict[FeedState, VenueState] = {
    FeedState.CONNECTING: "stale",
    FeedState.LIVE: "live",
    FeedState.STALE: "stale",
    FeedState.CLOSED: "closed",
}


class _Outage:
    """For how long something was not as it should be, since it first was."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._was_well = False
        self._seconds = 0.0

    def set(self, now: float, *, is_well: bool) -> None:
        if is_well:
            self._seconds = self.seconds(now)
            self._began_at, self._was_well = None, True
        elif self._was_well and self._began_at is None:
            self._began_at = now

    def seconds(self, now: float) -> float:
        return self._seconds + (now - self._began_at if self._began_at is not None else 0.0)


class _SymbolWatch:
    def __init__(self, local: str, symbol: str, venue_symbol: str, now_us: int) -> None:
        self.local = local
        self.symbol = symbol
        self.venue_symbol = venue_symbol
        self.verdict = Verdict.GAP
        self.reason: str | None = NOT_CONNECTED
        self.since_us = now_us
        self.heard_at: float | None = None
        self.skew = ClockSkew()
        self.outage = _Outage()
        self.counts: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
        self.trading = "unknown"


class SourceWatch:
    """What is seen of one venue; symbols are named as in its messages."""

    def __init__(self, source: str, symbols: Iterable[tuple[str, str, str]], clock: Clock) -> None:
        """`symbols` are (in messages, ours, the venue's own)."""
        self.source = source
        self._clock = clock
        now_us = clock.now_micros()
        self._symbols = {names[0]: _SymbolWatch(*names, now_us) for names in symbols}
        self._phase = FeedState.CONNECTING
        self._since_us = now_us
        self._heard_at: float | None = None
        self._outage = _Outage()
        self._failure: str | None = None
        self._malformed = 0

    @property
    def state(self) -> VenueState:
        return _STATES[self._phase]

    def set_phase(self, phase: FeedState) -> None:
        if phase is self._phase:
            return
        self._phase, self._since_us = phase, self._clock.now_micros()
        self._outage.set(self._clock.monotonic(), is_well=phase is FeedState.LIVE)
        if phase is FeedState.LIVE:
            self._failure = None

    def fail(self, reason: str) -> None:
        """The feed could not begin, or was ended by a fault."""
        self.set_phase(FeedState.CONNECTING)
        self._failure = reason

    def lose(self, reason: str) -> None:
        """Nothing is followed now."""
        self.set_phase(FeedState.CONNECTING)
        for local, one in self._symbols.items():
            if one.verdict is Verdict.OK:
                self.judge(local, Verdict.GAP, reason)

    def judge(self, symbol: str, verdict: Verdict, reason: str) -> None:
        one = self._symbols[symbol]
        one.counts[verdict] += 1
        one.verdict, one.reason, one.since_us = verdict, reason or None, self._clock.now_micros()
        one.outage.set(self._clock.monotonic(), is_well=verdict is Verdict.OK)

    def hear(self, symbol: str, message: Message) -> None:
        one = self._symbols[symbol]
        one.heard_at = self._clock.monotonic()
        one.skew.take((message,))

    def hear_source(self) -> None:
        self._heard_at = self._clock.monotonic()

    def set_trading(self, symbol: str | None, state: str) -> None:
        for one in self._symbols.values() if symbol is None else (self._symbols[symbol],):
            one.trading = state

    def count_unusable(self) -> None:
        self._malformed += 1

    def report(self, status: FeedStatus | None, trades: dict[str, tuple[int, int]]) -> FeedSource:
        """For the bus. `trades` are (taken, repeated) by symbol."""
        now = self._clock.monotonic()
        symbols = [
            self._of(one, status, trades.get(one.symbol, (0, 0)), now) for one in self._symbols.values()
        ]
        counters = status.counters if status is not None else None
        return FeedSource(
            self.source,
            self.state,
            self._phase.value,
            self._since_us,
            _age_ms(self._heard_at, now),
            status.skew_ns if status is not None else None,
            round(self._outage.seconds(now) * 1000),
            counters.messages if counters is not None else 0,
            sum(one.gaps for one in symbols),
            counters.resyncs if counters is not None else 0,
            sum(one.bad_checksums for one in symbols),
            sum(one.crossed for one in symbols),
            counters.reconnects if counters is not None else 0,
            counters.stale if counters is not None else 0,
            self._malformed + (counters.malformed if counters is not None else 0),
            sum(one.duplicates for one in symbols),
            self._failure or (status.last_error if status is not None else None),
            symbols,
        )

    def _of(
        self, one: _SymbolWatch, status: FeedStatus | None, trades: tuple[int, int], now: float
    ) -> BookSource:
        is_good, counters = one.verdict is Verdict.OK, status.counters if status is not None else None
        reason = one.reason
        if not is_good and status is not None:
            # A book that was never good has no judgement: the feed knows what it waits for.
            reason = status.doubtful.get(one.local, reason)
        state: VenueState = self.state if is_good or self.state == "closed" else "stale"
        return BookSource(
            one.symbol,
            one.venue_symbol,
            state,
            one.verdict.value,
            reason,
            one.since_us,
            _age_ms(one.heard_at, now),
            one.skew.median_ns,
            one.counts[Verdict.GAP],
            counters.resyncs_of.get(one.local, 0) if counters is not None else 0,
            one.counts[Verdict.BAD_CHECKSUM],
            one.counts[Verdict.CROSSED],
            counters.reconnects if counters is not None else 0,
            round(one.outage.seconds(now) * 1000),
            *trades,
            one.trading,
        )


def _age_ms(heard_at: float | None, now: float) -> int | None:
    return None if heard_at is None else max(0, round((now - heard_at) * 1000))

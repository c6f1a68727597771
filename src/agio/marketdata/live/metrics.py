"""Live sources for Prometheus: read from what the engine tells, on whichever node is asked."""

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agio.marketdata.events import BookSource, FeedSource

_BOTH = ["venue", "symbol"]


class FeedCollector(Collector):
    """`agio_feed_*`. Counters begin anew with the engine."""

    def __init__(self, sources: Callable[[], Iterable[FeedSource]]) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        sources = list(self._sources())
        yield from _of_venues(sources)
        yield from _of_symbols([(one.source, symbol) for one in sources for symbol in one.symbols])


def _of_venues(sources: list[FeedSource]) -> Iterable[Metric]:
    live = GaugeMetricFamily("agio_feed_live", "1 while the source is live", labels=["venue"])
    messages = CounterMetricFamily("agio_feed_messages", "Messages of the source", labels=["venue"])
    reconnects = CounterMetricFamily("agio_feed_reconnects", "Connections that were lost", labels=["venue"])
    stale = CounterMetricFamily(
        "agio_feed_stale_seconds", "Seconds in which the source was not live", labels=["venue"]
    )
    silences = CounterMetricFamily(
        "agio_feed_silences", "Connections given up because nothing came", labels=["venue"]
    )
    malformed = CounterMetricFamily("agio_feed_malformed", "Messages that can't be read", labels=["venue"])
    skew = GaugeMetricFamily(
        "agio_feed_clock_skew_seconds", "Our clock less the venue's, distance included", labels=["venue"]
    )
    age = GaugeMetricFamily(
        "agio_feed_last_message_age_seconds", "Since the last message of the source", labels=["venue"]
    )
    for one in sources:
        venue = [one.source]
        live.add_metric(venue, one.state == "live")
        messages.add_metric(venue, one.messages)
        reconnects.add_metric(venue, one.reconnects)
        stale.add_metric(venue, one.stale_ms / 1000)
        silences.add_metric(venue, one.stale_count)
        malformed.add_metric(venue, one.malformed)
        if one.skew_ns is not None:
            skew.add_metric(venue, one.skew_ns / 1e9)
        if one.age_ms is not None:
            age.add_metric(venue, one.age_ms / 1000)
    return live, messages, reconnects, stale, silences, malformed, skew, age


def _of_symbols(symbols: list[tuple[str, BookSource]]) -> Iterable[Metric]:
    good = GaugeMetricFamily("agio_feed_book_good", "1 while the book is proven right", labels=_BOTH)
    gaps = CounterMetricFamily("agio_feed_gaps", "Books that missed something", labels=_BOTH)
    resyncs = CounterMetricFamily("agio_feed_resyncs", "Snapshots asked for again", labels=_BOTH)
    checksums = CounterMetricFamily("agio_feed_bad_checksums", "Checksums that differ", labels=_BOTH)
    crossed = CounterMetricFamily("agio_feed_crossed", "Books that crossed", labels=_BOTH)
    stale = CounterMetricFamily(
        "agio_feed_symbol_stale_seconds", "Seconds without a proven book since the first one", labels=_BOTH
    )
    trades = CounterMetricFamily("agio_feed_trades", "Trades taken", labels=_BOTH)
    repeated = CounterMetricFamily("agio_feed_duplicates", "Trades told again and left out", labels=_BOTH)
    skew = GaugeMetricFamily(
        "agio_feed_symbol_clock_skew_seconds", "Our clock less the venue's, by symbol", labels=_BOTH
    )
    for venue, one in symbols:
        labels = [venue, one.symbol]
        good.add_metric(labels, one.book == "ok")
        gaps.add_metric(labels, one.gaps)
        resyncs.add_metric(labels, one.resyncs)
        checksums.add_metric(labels, one.bad_checksums)
        crossed.add_metric(labels, one.crossed)
        stale.add_metric(labels, one.stale_ms / 1000)
        trades.add_metric(labels, one.trades)
        repeated.add_metric(labels, one.duplicates)
        if one.skew_ns is not None:
            skew.add_metric(labels, one.skew_ns / 1e9)
    return good, gaps, resyncs, checksums, crossed, stale, trades, repeated, skew

/** Candles of any interval from those of a second or a minute: the one in progress, as the stream tells it. */

import { decimal, type Bar, type Interval } from "agio-sdk";
import { floorTo, widthOf } from "@/shared/zone.ts";

/** The interval of the stream from which a longer one can be folded. */
export function streamedInterval(interval: string): Interval {
  return widthOf(interval) % 60_000 === 0 ? "1m" : "1s";
}

/** One candle of the candles within it, in ascending order. Throws RangeError for none. */
export function foldBars(interval: string, start: string, bars: readonly Bar[]): Bar {
  const [first, last] = [bars[0], bars.at(-1)];
  if (first === undefined || last === undefined) throw new RangeError("a candle needs at least one");
  let [high, low] = [first.high, first.low];
  let [volume, value] = [decimal.ZERO, decimal.ZERO];
  let trades = 0;
  let revision = 0;
  for (const bar of bars) {
    if (isAbove(bar.high, high)) high = bar.high;
    if (isAbove(low, bar.low)) low = bar.low;
    const size = decimal.of(bar.volume);
    volume = decimal.add(volume, size);
    if (bar.vwap !== null) value = decimal.add(value, decimal.multiply(decimal.of(bar.vwap), size));
    trades += bar.trades;
    revision = Math.max(revision, bar.revision);
  }
  const scale = decimal.of(last.vwap ?? last.close).scale;
  const vwap = decimal.divide(value, volume, scale + 1);
  return {
    interval: interval as Interval,
    start,
    open: first.open,
    high,
    low,
    close: last.close,
    volume: decimal.format(volume),
    vwap: vwap === null ? last.vwap : decimal.format(decimal.rescale(vwap, scale)),
    trades,
    revision,
    is_final: false,
  };
}

/** Collects the stream's candles of the newest interval and those after it. */
export class Folding {
  private readonly parts = new Map<number, Map<string, Bar>>();
  /** From here on every part is known. */
  private since = Number.POSITIVE_INFINITY;
  private daysEnd = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly interval: string,
    private readonly zoneName: string,
  ) {}

  /** Up to here whole days were taken: a part of one of them cannot be. */
  get wholeUntil(): number {
    return this.daysEnd;
  }

  /** Take whole days, instead of all parts that begin before an instant. */
  takeDays(days: readonly Bar[], end: number): void {
    for (const [start, parts] of this.parts) {
      for (const bar of parts.values()) if (Date.parse(bar.start) < end) parts.delete(bar.start);
      if (parts.size === 0) this.parts.delete(start);
    }
    for (const day of days) this.take(day);
    this.daysEnd = end;
  }

  /** Everything from the beginning of this interval on will have been taken. */
  startFrom(start: number): void {
    this.since = start;
    for (const known of this.parts.keys()) if (known < start) this.parts.delete(known);
  }

  /** Take a part; an older revision of a known one is ignored. Returns the beginning of its interval. */
  take(bar: Bar): number {
    const start = floorTo(Date.parse(bar.start), this.interval, this.zoneName);
    const parts = this.parts.get(start) ?? new Map<string, Bar>();
    this.parts.set(start, parts);
    const known = parts.get(bar.start);
    if (known === undefined || known.revision <= bar.revision) parts.set(bar.start, bar);
    return start;
  }

  /** The candle that begins there; null while not all of its parts are known. */
  candle(start: number): Bar | null {
    const parts = this.parts.get(start);
    if (parts === undefined || start < this.since) return null;
    const ordered = [...parts.values()].sort((left, right) => (left.start < right.start ? -1 : 1));
    return foldBars(this.interval, new Date(start).toISOString(), ordered);
  }

  /** The beginnings of the intervals of which something is known. */
  starts(): number[] {
    return [...this.parts.keys()].sort((left, right) => left - right);
  }

  /** Forget all but the newest intervals. */
  trim(kept: number): void {
    for (const start of this.starts().slice(0, -kept)) this.parts.delete(start);
  }
}

function isAbove(left: string, right: string): boolean {
  return decimal.compare(decimal.of(left), decimal.of(right)) > 0;
}

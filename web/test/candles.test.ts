import type { Bar, Page } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { BarSeries, PAGE, type SeriesChange } from "@/shared/candles/bar_series.ts";
import { foldBars, Folding, streamedInterval } from "@/shared/candles/fold.ts";
import type { BarListener } from "@/shared/live/bar_channels.ts";
import { floorTo, wallText, widthOf } from "@/shared/zone.ts";

const at = (text: string) => Date.parse(text);

function bar(start: string, prices: readonly [string, string, string, string], more: Partial<Bar> = {}): Bar {
  const [open, high, low, close] = prices;
  return { interval: "1m", start, open, high, low, close, volume: "1", vwap: close, trades: 1, revision: 0, is_final: true, ...more };
}

describe("where bars begin", () => {
  it("is at whole multiples up to an hour", () => {
    expect(floorTo(at("2026-01-05T10:17:31Z"), "5m", "America/New_York")).toBe(at("2026-01-05T10:15:00Z"));
    expect(floorTo(at("2026-01-05T10:17:31Z"), "15s", "UTC")).toBe(at("2026-01-05T10:17:30Z"));
  });

  it("is at the wall clock beyond it", () => {
    expect(floorTo(at("2026-01-05T03:00:00Z"), "1d", "America/New_York")).toBe(at("2026-01-04T05:00:00Z"));
    expect(floorTo(at("2026-01-05T10:17:31Z"), "4h", "America/New_York")).toBe(at("2026-01-05T09:00:00Z"));
    expect(floorTo(at("2026-01-05T10:17:31Z"), "4h", "Asia/Kolkata")).toBe(at("2026-01-05T06:30:00Z"));
  });

  it("knows days of 23 and of 25 hours", () => {
    expect(floorTo(at("2026-03-08T15:00:00Z"), "1d", "America/New_York")).toBe(at("2026-03-08T05:00:00Z"));
    expect(floorTo(at("2026-03-09T03:59:59Z"), "1d", "America/New_York")).toBe(at("2026-03-08T05:00:00Z"));
    expect(floorTo(at("2026-03-09T04:00:00Z"), "1d", "America/New_York")).toBe(at("2026-03-09T04:00:00Z"));
    expect(floorTo(at("2026-11-02T04:59:59Z"), "1d", "America/New_York")).toBe(at("2026-11-01T04:00:00Z"));
  });

  it("is never after the instant, and the next one is", () => {
    for (const zone of ["America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]) {
      for (const interval of ["2h", "8h", "1d", "1w"]) {
        const width = widthOf(interval);
        for (let instant = at("2026-04-03T00:00:00Z"); instant < at("2026-04-07T00:00:00Z"); instant += 19_876_543) {
          const start = floorTo(instant, interval, zone);
          expect(start).toBeLessThanOrEqual(instant);
          expect(floorTo(start, interval, zone)).toBe(start);
          expect(instant - start).toBeLessThan(width + 3_600_000);
        }
      }
    }
  });

  it("is on Monday for weeks and on the 1st for months, at midnight of the zone", () => {
    const inNewYork = (instant: string, interval: string) => new Date(floorTo(at(instant), interval, "America/New_York")).toISOString();
    expect(floorTo(at("2026-01-05T00:00:00Z"), "1w", "UTC")).toBe(at("2026-01-05T00:00:00Z"));
    expect(floorTo(at("2026-01-04T23:59:59Z"), "1w", "UTC")).toBe(at("2025-12-29T00:00:00Z"));
    expect(floorTo(at("1969-12-30T00:00:00Z"), "1w", "UTC")).toBe(at("1969-12-29T00:00:00Z"));
    expect(floorTo(at("2028-02-29T23:59:59Z"), "1mo", "UTC")).toBe(at("2028-02-01T00:00:00Z"));
    expect(inNewYork("2026-03-09T03:59:59Z", "1w")).toBe("2026-03-02T05:00:00.000Z");
    expect(inNewYork("2026-03-09T04:00:00Z", "1w")).toBe("2026-03-09T04:00:00.000Z");
    expect(inNewYork("2026-04-01T03:59:59Z", "1mo")).toBe("2026-03-01T05:00:00.000Z");
    expect(inNewYork("2026-04-01T04:00:00Z", "1mo")).toBe("2026-04-01T04:00:00.000Z");
  });

  it("is the first instant of a day of which the zone skips midnight", () => {
    for (const interval of ["8h", "1d"]) {
      expect(floorTo(at("2026-09-06T05:00:00Z"), interval, "America/Santiago")).toBe(at("2026-09-06T04:00:00Z"));
      expect(floorTo(at("2026-09-06T03:30:00Z"), "1d", "America/Santiago")).toBe(at("2026-09-05T04:00:00Z"));
    }
  });

  it("refuses what is no interval", () => {
    for (const text of ["", "m", "0m", "1wk", "1.5h", "-1m"]) expect(() => widthOf(text)).toThrow(RangeError);
    expect(wallText("2026-01-05T10:17:31.123456Z", "utc")).toBe("2026-01-05T10:17:31.123456Z");
  });
});

describe("folding", () => {
  const minutes = [
    bar("2026-01-05T10:00:00Z", ["10.0", "12.0", "9.0", "11.0"], { volume: "2", vwap: "10.500", trades: 3 }),
    bar("2026-01-05T10:01:00Z", ["11.0", "11.5", "8.5", "9.5"], { volume: "6", vwap: "9.500", trades: 4 }),
  ];

  it("makes one candle of several, its VWAP weighted by volume", () => {
    expect(foldBars("5m", "2026-01-05T10:00:00.000Z", minutes)).toMatchObject({
      interval: "5m",
      open: "10.0",
      high: "12.0",
      low: "8.5",
      close: "9.5",
      volume: "8",
      vwap: "9.750",
      trades: 7,
    });
  });

  it("is the same for any order of arrival, newest revisions first or last", () => {
    const revised = { ...(minutes[0] as Bar), high: "13.0", revision: 1 };
    for (const order of [
      [...minutes, revised],
      [revised, ...minutes],
      [minutes[1] as Bar, revised, minutes[0] as Bar],
    ]) {
      const folding = new Folding("5m", "UTC");
      folding.startFrom(at("2026-01-05T10:00:00Z"));
      for (const one of order) folding.take(one);
      expect(folding.candle(at("2026-01-05T10:00:00Z"))).toMatchObject({ high: "13.0", close: "9.5", volume: "8" });
    }
  });

  it("tells no candle of which the beginning may be missing", () => {
    const folding = new Folding("5m", "UTC");
    folding.take(minutes[1] as Bar);
    expect(folding.candle(at("2026-01-05T10:00:00Z"))).toBeNull();
  });

  it("takes the stream's minutes where it can", () => {
    expect(["1s", "5s", "90s", "120s", "1m", "4h", "1d"].map(streamedInterval)).toEqual(["1s", "1s", "1s", "1m", "1m", "1m", "1m"]);
  });
});

/** A server of one-minute bars, and a stream that a test speaks for. */
class FakeMarket {
  readonly asked: Record<string, unknown>[] = [];
  listener: BarListener | null = null;
  failure: Error | null = null;

  constructor(readonly minutes: Bar[]) {}

  readonly agio = {
    get: async <T>(_path: string, query: Record<string, unknown> = {}): Promise<T> => {
      this.asked.push(query);
      if (this.failure !== null) throw this.failure;
      return this.answer(query) as T;
    },
  };

  readonly channels = {
    listen: (_symbol: string, _interval: string, listener: BarListener) => {
      this.listener = listener;
      return () => {
        this.listener = null;
      };
    },
  };

  private answer(query: Record<string, unknown>): Page<Bar> {
    const interval = String(query["interval"]);
    const groups = new Map<number, Bar[]>();
    for (const one of this.minutes) {
      const start = floorTo(at(one.start), interval, String(query["time_zone"]));
      const group = groups.get(start);
      if (group === undefined) groups.set(start, [one]);
      else group.push(one);
    }
    const limit = Number(query["limit"]);
    const all = [...groups].map(([start, parts]) => foldBars(interval, new Date(start).toISOString(), parts));
    const end = query["end"];
    if (typeof query["start"] === "string") {
      const from = query["start"];
      return { items: all.filter((one) => at(one.start) >= at(from)).slice(0, limit), next_cursor: null };
    }
    const before = typeof end === "string" ? all.filter((one) => at(one.start) < at(end)) : all;
    return { items: before.slice(-limit), next_cursor: null };
  }
}

function minutesUpTo(end: string, count: number): Bar[] {
  return Array.from({ length: count }, (_, place) => {
    const start = new Date(at(end) - (count - 1 - place) * 60_000).toISOString();
    return bar(start, ["10", "11", "9", "10"]);
  });
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

function seriesOf(market: FakeMarket, interval: string): { series: BarSeries; changes: SeriesChange[] } {
  const changes: SeriesChange[] = [];
  const choice = { symbol: "X", interval, zoneName: "UTC" };
  const series = new BarSeries(market.agio, market.channels, choice, (change) => changes.push(change));
  return { series, changes };
}

describe("BarSeries", () => {
  it("reads the newest page, then older ones until there is nothing older", async () => {
    const market = new FakeMarket(minutesUpTo("2026-01-05T10:00:00Z", PAGE + 200));
    const { series } = seriesOf(market, "1m");
    market.listener?.onConfirmed();
    await settled();
    expect(series.loading.phase).toBe("ready");
    expect(series.bars.size).toBe(PAGE);
    await series.loadOlder();
    expect(series.bars.size).toBe(PAGE + 200);
    expect(series.isWhole).toBe(false);
    await series.loadOlder();
    expect(series.isWhole).toBe(true);
    const asked = market.asked.length;
    await series.loadOlder();
    expect(market.asked.length).toBe(asked);
  });

  it("goes on from the stream: the candle in progress holds what was before and what comes", async () => {
    const market = new FakeMarket(minutesUpTo("2026-01-05T10:02:00Z", 63));
    const { series, changes } = seriesOf(market, "5m");
    market.listener?.onConfirmed();
    await settled();
    const newest = at("2026-01-05T10:00:00Z");
    expect(series.bars.get(newest)).toMatchObject({ volume: "3", trades: 3 });
    market.listener?.onBar(bar("2026-01-05T10:02:00.000Z", ["10", "15", "9", "14"], { volume: "4", trades: 2, revision: 1 }));
    expect(series.bars.get(newest)).toMatchObject({ high: "15", close: "14", volume: "6", trades: 4 });
    market.listener?.onBar(bar("2026-01-05T10:05:00.000Z", ["14", "14", "13", "13"]));
    expect(series.bars.get(at("2026-01-05T10:05:00Z"))).toMatchObject({ open: "14", volume: "1" });
    expect(changes.at(-1)).toEqual([at("2026-01-05T10:05:00Z")]);
  });

  it("folds a week of whole days and of the newest day's minutes, and counts none of them twice", async () => {
    const market = new FakeMarket(minutesUpTo("2026-01-07T00:01:00Z", 2 * 1440 + 2));
    const { series } = seriesOf(market, "1w");
    market.listener?.onConfirmed();
    await settled();
    expect(market.asked.map((query) => [query["interval"], query["start"]])).toEqual([
      ["1w", undefined],
      ["1d", "2026-01-05T00:00:00.000Z"],
      ["1m", "2026-01-07T00:00:00.000Z"],
    ]);
    const monday = at("2026-01-05T00:00:00Z");
    expect(series.bars.get(monday)).toMatchObject({ trades: 2882, volume: "2882" });
    market.listener?.onBar(bar("2026-01-07T00:02:00.000Z", ["10", "15", "9", "14"]));
    market.listener?.onBar(bar("2026-01-05T10:00:00.000Z", ["10", "99", "9", "10"], { revision: 1 }));
    expect(series.bars.get(monday)).toMatchObject({ trades: 2883, volume: "2883", high: "15", close: "14" });
    market.minutes.push(...minutesUpTo("2026-01-08T00:00:00Z", 1438));
    await series.load();
    expect(series.bars.get(monday)).toMatchObject({ trades: 4320, high: "11" });
    series.close();
  });

  it("reads again after a reconnection, and leaves no hole after a long one", async () => {
    const market = new FakeMarket(minutesUpTo("2026-01-05T10:00:00Z", 20));
    const { series } = seriesOf(market, "1m");
    market.listener?.onConfirmed();
    await settled();
    market.minutes.push(...minutesUpTo("2026-01-06T10:00:00Z", PAGE));
    market.listener?.onConfirmed();
    await settled();
    expect(series.bars.size).toBe(PAGE);
    expect(Math.min(...series.bars.keys())).toBe(at("2026-01-06T10:00:00Z") - (PAGE - 1) * 60_000);
  });

  it("says why it has nothing, and keeps what it has when older candles cannot be read", async () => {
    const market = new FakeMarket(minutesUpTo("2026-01-05T10:00:00Z", 20));
    market.failure = new Error("the store is away");
    const { series } = seriesOf(market, "1m");
    market.listener?.onConfirmed();
    await settled();
    expect(series.loading).toEqual({ phase: "failed", message: "the store is away" });
    market.failure = null;
    await series.load();
    market.failure = new Error("the store is away");
    await series.loadOlder();
    expect([series.bars.size, series.olderFailure, series.isLoadingOlder]).toEqual([20, "the store is away", false]);
    series.close();
  });
});

import type { Bar } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { SessionBars } from "@/shared/live/ticker_feed.ts";

function bar(start: string, open: string, close: string, volume: string, revision = 1): Bar {
  const [low, high] = [open, close].sort() as [string, string];
  return { interval: "1m", start, open, high, low, close, volume, vwap: null, trades: 1, revision, is_final: false };
}

describe("SessionBars", () => {
  it("sums the volume of the day, each bar at its newest revision", () => {
    const session = new SessionBars();
    session.take(bar("2026-01-05T00:00:00Z", "10.00", "11.00", "5"));
    session.take(bar("2026-01-05T00:01:00Z", "11.00", "12.00", "1", 1));
    session.take(bar("2026-01-05T00:01:00Z", "11.00", "13.00", "4", 2));
    session.take(bar("2026-01-05T00:01:00Z", "11.00", "12.00", "1", 1));
    expect([session.open, session.last, session.high, session.low, session.volume]).toEqual([
      "10.00",
      "13.00",
      "13.00",
      "10.00",
      "9",
    ]);
  });

  it("takes history after live bars and begins anew at midnight", () => {
    const session = new SessionBars();
    session.take(bar("2026-01-05T23:59:00Z", "20.00", "21.00", "7"));
    session.take(bar("2026-01-05T00:00:00Z", "10.00", "11.00", "5"));
    expect([session.open, session.last, session.volume]).toEqual(["10.00", "21.00", "12"]);
    session.take(bar("2026-01-06T00:00:00Z", "22.00", "23.00", "1"));
    expect([session.open, session.last, session.volume]).toEqual(["22.00", "23.00", "1"]);
    expect(session.spark).toEqual([11, 21, 23]);
  });
});

import { decimal, type Trade } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { TapeLog } from "@/shared/live/tape_log.ts";

function trade(seq: number, price: string, more: Partial<Trade> = {}): Trade {
  const venue_time = `2026-01-05T10:00:${String(seq % 60).padStart(2, "0")}.000000Z`;
  return { seq, price, size: "1", side: null, venue_time, id: `t${seq}`, ...more };
}

function logOf(limit: number, ...trades: Trade[]): TapeLog {
  const log = new TapeLog(limit);
  for (const one of trades) log.add(one);
  return log;
}

describe("TapeLog", () => {
  it("takes each trade once, in order", () => {
    const log = logOf(10, trade(1, "10"), trade(2, "11"), trade(2, "11"), trade(1, "10"), trade(3, "12"));
    expect(log.shown().map((entry) => entry.seq)).toEqual([1, 2, 3]);
  });

  it("tells the side by the venue, else by the tick rule", () => {
    const log = logOf(10, trade(1, "10"), trade(2, "11"), trade(3, "11"), trade(4, "10"), trade(5, "10", { side: "buy" }));
    expect(log.shown().map((entry) => entry.direction)).toEqual([null, "up", "up", "down", "up"]);
  });

  it("marks what came late", () => {
    const log = logOf(10, trade(1, "10"), trade(5, "10"), trade(6, "10", { venue_time: "2026-01-05T10:00:03.000000Z" }), trade(7, "10"));
    expect(log.shown().map((entry) => entry.mark)).toEqual([null, null, "late", null]);
  });

  it("marks corrections, and strikes out what they overrule", () => {
    const log = logOf(
      10,
      trade(1, "10"),
      trade(2, "99", { id: "x" }),
      trade(3, "11", { id: "x", correction: "replaces" }),
      trade(4, "10", { id: "t1", correction: "cancels" }),
    );
    expect(log.shown().map((entry) => [entry.mark, entry.isOverruled])).toEqual([
      [null, true],
      [null, true],
      ["replaces", false],
      ["cancels", true],
    ]);
  });

  it("filters by size what is there and what comes", () => {
    const log = logOf(10, trade(1, "10", { size: "0.5" }), trade(2, "10", { size: "5" }));
    log.showFrom(decimal.of("1"));
    log.add(trade(3, "10", { size: "0.99" }));
    log.add(trade(4, "10", { size: "1.00" }));
    expect(log.shown().map((entry) => entry.seq)).toEqual([2, 4]);
    expect(log.length).toBe(4);
    log.showFrom(null);
    expect(log.shown()).toHaveLength(4);
  });

  it("stays within its limit", () => {
    const log = new TapeLog(50);
    log.showFrom(decimal.of("1"));
    for (let seq = 1; seq <= 1000; seq += 1) log.add(trade(seq, "10"));
    expect(log.length).toBe(50);
    expect(log.shown().map((entry) => entry.seq)).toEqual(Array.from({ length: 50 }, (_, place) => 951 + place));
  });
});

import { describe, expect, it } from "vitest";
import { depthShape, pointAt } from "@/features/market/depth_shape.ts";
import { bidShare, groupingSteps, groupLevels, spreadOf } from "@/features/market/grouping.ts";

const BIDS = [
  { price: "100.04", size: "1.5" },
  { price: "100.03", size: "2" },
  { price: "99.99", size: "4" },
];
const ASKS = [
  { price: "100.05", size: "0.5" },
  { price: "100.06", size: "1" },
  { price: "100.11", size: "3" },
];

describe("grouping", () => {
  it("never promises a better price than the orders have", () => {
    expect(groupLevels(BIDS, "bid", "0.05")).toEqual([
      { price: "100.00", size: "3.5", total: "3.5" },
      { price: "99.95", size: "4", total: "7.5" },
    ]);
    expect(groupLevels(ASKS, "ask", "0.05")).toEqual([
      { price: "100.05", size: "0.5", total: "0.5" },
      { price: "100.10", size: "1", total: "1.5" },
      { price: "100.15", size: "3", total: "4.5" },
    ]);
  });

  it("keeps every size, whatever the step", () => {
    for (const step of groupingSteps("0.01")) {
      expect(Number(groupLevels(BIDS, "bid", step).at(-1)?.total)).toBe(7.5);
      expect(Number(groupLevels(ASKS, "ask", step).at(-1)?.total)).toBe(4.5);
    }
  });

  it("offers the tick and its multiples, exact", () => {
    expect(groupingSteps("0.0001").slice(0, 4)).toEqual(["0.0001", "0.0002", "0.0005", "0.0010"]);
  });

  it("leaves nothing of nothing", () => {
    expect(groupLevels([], "bid", "0.01")).toEqual([]);
    expect(bidShare([], [])).toBeNull();
  });
});

describe("the spread", () => {
  it("is exact, with its share of the middle", () => {
    expect(spreadOf(BIDS[0], ASKS[0])).toEqual({ width: "0.01", basisPoints: "1.00", middle: "100.045" });
    expect(spreadOf(BIDS[0], undefined)).toBeNull();
  });
});

describe("the depth chart", () => {
  const bids = groupLevels(BIDS, "bid", "0.01");
  const asks = groupLevels(ASKS, "ask", "0.01");

  it("has both sides on one scale, best prices next to the middle", () => {
    const shape = depthShape(bids, asks, 7.5, 200, 108);
    expect(shape?.middleX).toBe(100);
    expect(shape?.bids.points[0]?.x).toBeLessThan(100);
    expect(shape?.asks.points[0]?.x).toBeGreaterThan(100);
    expect(shape?.bids.points.at(-1)?.y).toBeCloseTo(8);
    expect(shape?.asks.points.at(-1)?.y).toBeCloseTo(108 - 60);
  });

  it("finds the level under the pointer", () => {
    const shape = depthShape(bids, asks, 7.5, 200, 108);
    if (shape === null) throw new Error("there is a book");
    expect(pointAt(shape, 200)?.row.price).toBe("100.11");
    expect(pointAt(shape, 0)?.row.total).toBe("7.5");
    expect(pointAt(shape, 50)?.row.price).toBe("100.03");
    expect(pointAt(shape, 100)).toBeNull();
  });

  it("is nothing without a book", () => {
    expect(depthShape([], [], 0, 200, 100)).toBeNull();
  });
});

/** Price levels made coarser for people: sums of neighbouring levels, and what lies in front of each. */

import { decimal, type Level } from "agio-sdk";

export type BookSide = "bid" | "ask";

export interface DepthRow extends Level {
  /** Size of this row and all better ones. */
  readonly total: string;
}

const FACTORS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Steps to group by: the tick, and its multiples of 1, 2 and 5. */
export function groupingSteps(tickSize: string): string[] {
  const tick = decimal.of(tickSize);
  return FACTORS.map((factor) => decimal.format({ units: tick.units * BigInt(factor), scale: tick.scale }));
}

/**
 * Levels, best first, summed within steps. A bid counts at or below its price, an ask at or above it: a row never
 * promises a better price than its orders have.
 */
export function groupLevels(levels: readonly Level[], side: BookSide, step: string): DepthRow[] {
  const width = decimal.of(step);
  const rows: DepthRow[] = [];
  let total = decimal.ZERO;
  let size = decimal.ZERO;
  let price: string | null = null;
  const finish = () => {
    if (price !== null) rows.push({ price, size: decimal.format(size), total: decimal.format(total) });
  };
  for (const level of levels) {
    const row = rowPrice(level.price, side, width);
    const amount = decimal.of(level.size);
    if (row !== price) {
      finish();
      price = row;
      size = decimal.ZERO;
    }
    size = decimal.add(size, amount);
    total = decimal.add(total, amount);
  }
  finish();
  return rows;
}

function rowPrice(price: string, side: BookSide, width: decimal.Decimal): string {
  const value = decimal.of(price);
  if (decimal.isMultiple(value, width)) return price;
  const down = decimal.step(value, width, -1);
  return decimal.format(decimal.rescale(side === "bid" ? down : decimal.step(value, width, 1), value.scale));
}

export interface Spread {
  readonly width: string;
  /** In hundredths of a percent of the middle. */
  readonly basisPoints: string | null;
  readonly middle: string;
}

/** Between the best bid and the best ask; null where a side is empty. */
export function spreadOf(bid: Level | undefined, ask: Level | undefined): Spread | null {
  if (bid === undefined || ask === undefined) return null;
  const [low, high] = [decimal.of(bid.price), decimal.of(ask.price)];
  const width = decimal.subtract(high, low);
  const sum = decimal.add(low, high);
  const middle: decimal.Decimal = { units: sum.units * 5n, scale: sum.scale + 1 };
  const share = decimal.divide({ units: width.units * 10_000n, scale: width.scale }, middle, 3);
  return {
    width: decimal.format(width),
    basisPoints: share === null ? null : decimal.format(decimal.rescale(share, 2)),
    middle: decimal.format(middle),
  };
}

/** How far apart the sides are in size: the bids' share of everything within the rows, 0 to 1. */
export function bidShare(bids: readonly DepthRow[], asks: readonly DepthRow[]): number | null {
  const [bid, ask] = [Number(bids.at(-1)?.total ?? 0), Number(asks.at(-1)?.total ?? 0)];
  return bid + ask === 0 ? null : bid / (bid + ask);
}

/** The depth chart's lines in pixels: both sides on one scale of prices and one of sizes. */

import type { BookSide, DepthRow } from "./grouping.ts";

const HEADROOM_PX = 8;

export interface DepthPoint {
  readonly side: BookSide;
  readonly row: DepthRow;
  readonly x: number;
  readonly y: number;
}

export interface DepthShape {
  readonly middleX: number;
  readonly bids: SideShape;
  readonly asks: SideShape;
}

interface SideShape {
  readonly path: string;
  /** From the middle outwards. */
  readonly points: readonly DepthPoint[];
}

/** Null where there is nothing to draw. The middle is in the middle, and as far is as far on both sides. */
export function depthShape(
  bids: readonly DepthRow[],
  asks: readonly DepthRow[],
  deepest: number,
  width: number,
  height: number,
): DepthShape | null {
  const best = [bids[0], asks[0]].flatMap((row) => (row === undefined ? [] : Number(row.price)));
  if (best.length === 0 || deepest <= 0 || width <= 0 || height <= 0) return null;
  const middle = best.reduce((sum, price) => sum + price, 0) / best.length;
  const edges = [bids.at(-1), asks.at(-1)].flatMap((row) => (row === undefined ? [] : Math.abs(Number(row.price) - middle)));
  const reach = Math.max(...edges) || 1;
  const x = (price: number) => (width / 2) * (1 + (price - middle) / reach);
  const y = (size: number) => height - (size / deepest) * (height - HEADROOM_PX);
  const points = (rows: readonly DepthRow[], side: BookSide): DepthPoint[] =>
    rows.map((row) => ({ side, row, x: x(Number(row.price)), y: y(Number(row.total)) }));
  return {
    middleX: width / 2,
    bids: sideShape(points(bids, "bid"), 0, height),
    asks: sideShape(points(asks, "ask"), width, height),
  };
}

/** Steps: at each price the size jumps, and stays until the next. */
function sideShape(points: readonly DepthPoint[], edge: number, height: number): SideShape {
  const [first] = points;
  if (first === undefined) return { path: "", points };
  let path = `M${round(first.x)},${round(height)}`;
  let before = height;
  for (const { x, y } of points) {
    path += `L${round(x)},${round(before)}L${round(x)},${round(y)}`;
    before = y;
  }
  return { path: `${path}L${round(edge)},${round(before)}L${round(edge)},${round(height)}Z`, points };
}

/** The price level that a place on the chart is in: the last one passed on the way out from the middle. */
export function pointAt(shape: DepthShape, x: number): DepthPoint | null {
  const isBid = x < shape.middleX;
  const points = isBid ? shape.bids.points : shape.asks.points;
  let found: DepthPoint | null = null;
  for (const point of points) {
    if (isBid ? point.x < x : point.x > x) break;
    found = point;
  }
  return found;
}

function round(value: number): string {
  return value.toFixed(1);
}

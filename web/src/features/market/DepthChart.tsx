import type { Instrument } from "agio-sdk";
import { useRef, useState, type PointerEvent } from "react";
import { compact, grouped, sized } from "@/shared/format.ts";
import { useSize } from "@/shared/use_size.ts";
import { depthShape, pointAt, type DepthPoint } from "./depth_shape.ts";
import type { DepthRow } from "./grouping.ts";

interface Props {
  readonly bids: readonly DepthRow[];
  readonly asks: readonly DepthRow[];
  /** The size at the full height, and at the full width of the ladder. */
  readonly deepest: number;
  readonly decimals: number;
  readonly instrument: Instrument;
}

/** Cumulative size against price. */
export function DepthChart({ bids, asks, deepest, decimals, instrument }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const { width, height } = useSize(box);
  const [pointer, setPointer] = useState<number | null>(null);
  const shape = depthShape(bids, asks, deepest, width, height);
  const point = pointer === null || shape === null ? null : pointAt(shape, pointer);

  function moved(event: PointerEvent<HTMLDivElement>) {
    setPointer(event.clientX - event.currentTarget.getBoundingClientRect().left);
  }

  return (
    <div
      ref={box}
      className="depth-chart"
      role="img"
      aria-label={altText(bids, asks, decimals, instrument)}
      onPointerMove={moved}
      onPointerLeave={() => setPointer(null)}
    >
      {shape !== null && (
        <svg width={width} height={height} aria-hidden="true">
          <line className="middle" x1={shape.middleX} x2={shape.middleX} y1={0} y2={height} />
          <path className="bid" d={shape.bids.path} />
          <path className="ask" d={shape.asks.path} />
          {point !== null && <Marker point={point} width={width} height={height} />}
        </svg>
      )}
      <span className="depth-scale">{compact(deepest.toFixed(decimals))} {instrument.base_asset}</span>
      {shape !== null && (
        <div className="depth-axis" aria-hidden="true">
          <span>{grouped(bids.at(-1)?.price)}</span>
          <span>{grouped(asks.at(-1)?.price)}</span>
        </div>
      )}
      {point !== null && (
        <p className={`depth-tip ${point.side}`} aria-hidden="true">
          {sized(point.row.total, decimals)} {instrument.base_asset} to {grouped(point.row.price)}
        </p>
      )}
    </div>
  );
}

function Marker({ point, width, height }: { readonly point: DepthPoint; readonly width: number; readonly height: number }) {
  const x = Math.min(Math.max(point.x, 3), width - 3);
  return (
    <>
      <line className="cursor" x1={x} x2={x} y1={0} y2={height} />
      <circle className={`dot ${point.side}`} cx={x} cy={point.y} r={3} />
    </>
  );
}

function altText(bids: readonly DepthRow[], asks: readonly DepthRow[], decimals: number, instrument: Instrument): string {
  const side = (rows: readonly DepthRow[]) => {
    const last = rows.at(-1);
    return last === undefined ? "nothing" : `${sized(last.total, decimals)} ${instrument.base_asset} to ${grouped(last.price)}`;
  };
  return `Depth: bids ${side(bids)}, asks ${side(asks)}`;
}

import type { Instrument } from "agio-sdk";
import { useMemo, useRef, useState } from "react";
import { decimalsOf, grouped, percent, sized } from "@/shared/format.ts";
import type { BookFeed, BookView } from "@/shared/live/book_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { useSize } from "@/shared/use_size.ts";
import { DepthChart } from "./DepthChart.tsx";
import { bidShare, groupingSteps, groupLevels, spreadOf, type DepthRow } from "./grouping.ts";

const ROW_PX = 20;
const MIDDLE_PX = 30;
const CHARTED_SCREENS = 3;

interface Props {
  readonly instrument: Instrument;
  readonly book: BookFeed;
}

/** The order book: depth as a chart and, of the levels near the spread, as a ladder on the same scale of sizes. */
export function DepthPanel({ instrument, book }: Props) {
  const view = useLive(book.store);
  const steps = useMemo(() => groupingSteps(instrument.tick_size), [instrument.tick_size]);
  const [step, setStep] = useState(steps[0] as string);
  const isShown = view.phase === "live" || view.phase === "resyncing";
  return (
    <Panel
      title="Order book"
      area="area-depth"
      tools={
        <label className="push-right grouping">
          <span className="muted">Group</span>
          <select value={step} aria-label="Price grouping" onChange={(event) => setStep(event.target.value)}>
            {steps.map((one) => (
              <option key={one} value={one}>
                {grouped(one)}
              </option>
            ))}
          </select>
        </label>
      }
    >
      {view.phase === "loading" && <Notice>Loading the book…</Notice>}
      {view.phase === "refused" && <Notice tone="bad">{view.refusal}</Notice>}
      {view.phase === "none" && (
        <div className="depth-none">
          <Notice>
            {instrument.venue} has no order book for {instrument.symbol}.
          </Notice>
        </div>
      )}
      {isShown && <Depth view={view} instrument={instrument} step={step} />}
    </Panel>
  );
}

interface DepthProps {
  readonly view: BookView;
  readonly instrument: Instrument;
  readonly step: string;
}

function Depth({ view, instrument, step }: DepthProps) {
  const box = useRef<HTMLDivElement>(null);
  const { height } = useSize(box);
  const count = Math.max(3, Math.floor((height - MIDDLE_PX) / 2 / ROW_PX));
  const bids = useMemo(() => groupLevels(view.bids, "bid", step), [view.bids, step]);
  const asks = useMemo(() => groupLevels(view.asks, "ask", step), [view.asks, step]);
  const shown = { bids: bids.slice(0, count), asks: asks.slice(0, count) };
  const charted = { bids: bids.slice(0, count * CHARTED_SCREENS), asks: asks.slice(0, count * CHARTED_SCREENS) };
  const deepest = Math.max(Number(charted.bids.at(-1)?.total ?? 0), Number(charted.asks.at(-1)?.total ?? 0));
  const decimals = decimalsOf(instrument.lot_size);
  return (
    <>
      <DepthChart bids={charted.bids} asks={charted.asks} deepest={deepest} decimals={decimals} instrument={instrument} />
      <div className="ladder">
        <div className="ladder-head">
          <span>Price {instrument.quote_asset}</span>
          <span>Size {instrument.base_asset}</span>
          <span>Total</span>
        </div>
        <div ref={box} className="ladder-body" role="group" aria-label="Price levels">
          <ul className="ladder-side asks" aria-label="Asks">
            {[...shown.asks].reverse().map((row) => (
              <Line key={row.price} row={row} deepest={deepest} decimals={decimals} />
            ))}
          </ul>
          <Middle view={view} shown={shown} />
          <ul className="ladder-side bids" aria-label="Bids">
            {shown.bids.map((row) => (
              <Line key={row.price} row={row} deepest={deepest} decimals={decimals} />
            ))}
          </ul>
        </div>
      </div>
    </>
  );
}

interface LineProps {
  readonly row: DepthRow;
  readonly deepest: number;
  readonly decimals: number;
}

function Line({ row, deepest, decimals }: LineProps) {
  const share = deepest === 0 ? 0 : Math.min(100, (Number(row.total) / deepest) * 100);
  return (
    <li className="ladder-line">
      <span className="depth" style={{ width: `${share.toFixed(1)}%` }} />
      <span className="price">{grouped(row.price)}</span>
      <span>{sized(row.size, decimals)}</span>
      <span className="total">{sized(row.total, decimals)}</span>
    </li>
  );
}

interface MiddleProps {
  readonly view: BookView;
  readonly shown: { readonly bids: readonly DepthRow[]; readonly asks: readonly DepthRow[] };
}

function Middle({ view, shown }: MiddleProps) {
  if (view.phase === "resyncing") {
    return (
      <div className="ladder-middle" role="status">
        Checksum differs: reading the book again…
      </div>
    );
  }
  const spread = spreadOf(view.bids[0], view.asks[0]);
  if (spread === null) return <div className="ladder-middle">One side is empty</div>;
  const share = bidShare(shown.bids, shown.asks);
  return (
    <div className="ladder-middle">
      <span>Spread</span>
      <span>{grouped(spread.width)}</span>
      <span>{spread.basisPoints} bps</span>
      <span title="The bids' share of the size on the screen">{share === null ? "" : `${percent(share, 0)} bid`}</span>
    </div>
  );
}

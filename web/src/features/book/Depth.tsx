import { decimal, type Instrument } from "agio-sdk";
import { useLayoutEffect, useRef, useState } from "react";
import { decimalsOf, grouped, sized } from "@/shared/format.ts";
import type { BookFeed, BookView, LadderRow } from "@/shared/live/book_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { TradesFeed } from "@/shared/live/trades_feed.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { Tape } from "./Tape.tsx";

const ROW_PX = 20;

interface Props {
  readonly instrument: Instrument;
  readonly book: BookFeed;
  readonly trades: TradesFeed;
  readonly onPick: (price: string) => void;
}

/** The order book; where the venue tells none, time and sales in its place. */
export function Depth({ instrument, book, trades, onPick }: Props) {
  const view = useLive(book.store);
  const title = view.phase === "none" ? "Time & sales" : "Order book";
  return (
    <Panel title={title} area="area-book" tools={<span className="panel-note">{instrument.symbol}</span>}>
      {view.phase === "loading" && <Notice>Loading the book…</Notice>}
      {view.phase === "refused" && <Notice tone="bad">{view.refusal}</Notice>}
      {view.phase === "none" && (
        <>
          <p className="panel-hint">
            {instrument.venue} has no order book for {instrument.symbol}: its trades are shown instead.
          </p>
          <Tape feed={trades} instrument={instrument} />
        </>
      )}
      {(view.phase === "live" || view.phase === "resyncing") && (
        <Ladder view={view} instrument={instrument} onPick={onPick} />
      )}
    </Panel>
  );
}

interface LadderProps {
  readonly view: BookView;
  readonly instrument: Instrument;
  readonly onPick: (price: string) => void;
}

function Ladder({ view, instrument, onPick }: LadderProps) {
  const box = useRef<HTMLDivElement>(null);
  const depth = useRows(box);
  const asks = view.asks.slice(0, depth);
  const bids = view.bids.slice(0, depth);
  const decimals = decimalsOf(instrument.lot_size);
  const deepest = largest([asks.at(-1)?.total, bids.at(-1)?.total]);
  return (
    <div className="ladder">
      <div className="ladder-head">
        <span>Price {instrument.quote_asset}</span>
        <span>Size {instrument.base_asset}</span>
        <span>Total</span>
      </div>
      <div ref={box} className="ladder-body">
        <div className="ladder-side asks">
          {[...asks].reverse().map((row) => (
            <LadderLine key={row.price} row={row} deepest={deepest} decimals={decimals} onPick={onPick} />
          ))}
        </div>
        <Middle view={view} />
        <div className="ladder-side bids">
          {bids.map((row) => (
            <LadderLine key={row.price} row={row} deepest={deepest} decimals={decimals} onPick={onPick} />
          ))}
        </div>
      </div>
    </div>
  );
}

interface LadderLineProps {
  readonly row: LadderRow;
  readonly deepest: number;
  readonly decimals: number;
  readonly onPick: (price: string) => void;
}

function LadderLine({ row, deepest, decimals, onPick }: LadderLineProps) {
  const share = Math.min(100, (Number(row.total) / deepest) * 100);
  return (
    <button type="button" className="ladder-line" tabIndex={-1} onClick={() => onPick(row.price)} title="Use this price in the ticket">
      <span className="depth" style={{ width: `${share.toFixed(1)}%` }} />
      <span className="price">{grouped(row.price)}</span>
      <span>{sized(row.size, decimals)}</span>
      <span className="total">{sized(row.total, decimals)}</span>
    </button>
  );
}

function Middle({ view }: { readonly view: BookView }) {
  const bid = view.bids[0];
  const ask = view.asks[0];
  if (view.phase === "resyncing") return <div className="ladder-middle">Checksum differs: reading the book again…</div>;
  if (bid === undefined || ask === undefined) return <div className="ladder-middle">One side is empty</div>;
  const spread = decimal.subtract(decimal.of(ask.price), decimal.of(bid.price));
  const share = decimal.divide({ units: spread.units * 10_000n, scale: spread.scale }, decimal.of(ask.price), 1);
  return (
    <div className="ladder-middle">
      <span>Spread</span>
      <span>{grouped(decimal.format(spread))}</span>
      <span>{share === null ? "" : `${decimal.format(share)} bps`}</span>
    </div>
  );
}

/** How many rows fit on each side of the middle. */
function useRows(box: React.RefObject<HTMLDivElement | null>): number {
  const [rows, setRows] = useState(10);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = () => setRows(Math.max(3, Math.floor((element.clientHeight - ROW_PX * 1.5) / 2 / ROW_PX)));
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, [box]);
  return rows;
}

function largest(totals: readonly (string | undefined)[]): number {
  return Math.max(Number.MIN_VALUE, ...totals.map((total) => Number(total ?? 0)));
}

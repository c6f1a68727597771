import type { Instrument } from "agio-sdk";
import { clock, decimalsOf, grouped, sized } from "@/shared/format.ts";
import type { BookFeed } from "@/shared/live/book_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { TradesFeed } from "@/shared/live/trades_feed.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";

interface TradesPanelProps {
  readonly instrument: Instrument;
  readonly book: BookFeed;
  readonly trades: TradesFeed;
}

/** The newest trades beside the book; without a book they take its place, and this panel goes. */
export function TradesPanel({ instrument, book, trades }: TradesPanelProps) {
  const { phase } = useLive(book.store);
  if (phase === "none") return null;
  return (
    <Panel title="Trades" area="area-trades" tools={<span className="panel-note">{instrument.symbol}</span>}>
      <Tape feed={trades} instrument={instrument} />
    </Panel>
  );
}

interface TapeProps {
  readonly feed: TradesFeed;
  readonly instrument: Instrument;
}

/** Time and sales, newest first. */
export function Tape({ feed, instrument }: TapeProps) {
  const view = useLive(feed.store);
  const decimals = decimalsOf(instrument.lot_size);
  if (view.entries.length === 0) {
    return <Notice>{view.phase === "loading" ? "Loading trades…" : "No trades yet."}</Notice>;
  }
  return (
    <div className="tape">
      <div className="ladder-head">
        <span>Price {instrument.quote_asset}</span>
        <span>Size</span>
        <span>Time UTC</span>
      </div>
      <div className="tape-rows">
        {[...view.entries].reverse().map((row) => (
          <div key={row.seq} className="tape-row">
            <span className={row.direction === null ? "" : `text-${row.direction}`}>{grouped(row.price)}</span>
            <span>{sized(row.size, decimals)}</span>
            <span className="muted">{clock(row.time)}</span>
          </div>
        ))}
      </div>
    </div>
  );
}

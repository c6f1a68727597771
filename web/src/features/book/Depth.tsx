import { decimal, type Agio, type Instrument, type Stream } from "agio-sdk";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { clock, grouped, quantity } from "@/shared/format.ts";
import { BookFeed, type BookView, type LadderRow } from "@/shared/live/book_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { TradesFeed, type TapeView } from "@/shared/live/trades_feed.ts";
import { Notice } from "@/shared/Panel.tsx";
import { Tabs } from "@/shared/Tabs.tsx";

const ROW_PX = 20;

interface Props {
  readonly agio: Agio;
  readonly stream: Stream;
  readonly instrument: Instrument;
  readonly onPick: (price: string) => void;
}

/** The order book, or time and sales: by choice, and always where the venue tells no book. */
export function Depth({ agio, stream, instrument, onPick }: Props) {
  const [wanted, setWanted] = useState<"book" | "trades">("book");
  const [book, setBook] = useState<BookFeed | null>(null);

  useEffect(() => {
    const feed = new BookFeed(stream, instrument.symbol);
    setBook(feed);
    return () => feed.close();
  }, [stream, instrument.symbol]);

  return (
    <section className="panel area-book" aria-label="Order book and trades">
      <header className="panel-head">
        <Tabs
          label="Market depth"
          tabs={[
            { name: "book", label: "Order book" },
            { name: "trades", label: "Trades" },
          ]}
          selected={wanted}
          onSelect={setWanted}
        />
      </header>
      {book !== null && wanted === "book" && (
        <BookOrTape book={book} agio={agio} stream={stream} instrument={instrument} onPick={onPick} />
      )}
      {wanted === "trades" && <Tape agio={agio} stream={stream} instrument={instrument} />}
    </section>
  );
}

function BookOrTape({ book, agio, stream, instrument, onPick }: Props & { readonly book: BookFeed }) {
  const view = useLive(book.store);
  if (view.phase === "loading") return <Notice>Loading the book…</Notice>;
  if (view.phase === "refused") return <Notice tone="bad">{view.refusal}</Notice>;
  if (view.phase === "none") {
    return (
      <>
        <p className="panel-hint">{instrument.venue} tells no order book for {instrument.symbol}: these are its trades.</p>
        <Tape agio={agio} stream={stream} instrument={instrument} />
      </>
    );
  }
  return <Ladder view={view} instrument={instrument} onPick={onPick} />;
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
            <LadderLine key={row.price} row={row} deepest={deepest} onPick={onPick} />
          ))}
        </div>
        <Middle view={view} />
        <div className="ladder-side bids">
          {bids.map((row) => (
            <LadderLine key={row.price} row={row} deepest={deepest} onPick={onPick} />
          ))}
        </div>
      </div>
    </div>
  );
}

function LadderLine({ row, deepest, onPick }: { readonly row: LadderRow; readonly deepest: number; readonly onPick: (price: string) => void }) {
  const share = Math.min(100, (Number(row.total) / deepest) * 100);
  return (
    <button type="button" className="ladder-line" tabIndex={-1} onClick={() => onPick(row.price)} title="Use this price in the ticket">
      <span className="depth" style={{ width: `${share.toFixed(1)}%` }} />
      <span className="price">{grouped(row.price)}</span>
      <span>{quantity(row.size)}</span>
      <span className="total">{quantity(row.total)}</span>
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

function Tape({ agio, stream, instrument }: Pick<Props, "agio" | "stream" | "instrument">) {
  const [feed, setFeed] = useState<TradesFeed | null>(null);
  useEffect(() => {
    const made = new TradesFeed(agio, stream, instrument.symbol);
    setFeed(made);
    return () => made.close();
  }, [agio, stream, instrument.symbol]);
  return feed === null ? null : <TapeRows feed={feed} instrument={instrument} />;
}

function TapeRows({ feed, instrument }: { readonly feed: TradesFeed; readonly instrument: Instrument }) {
  const view: TapeView = useLive(feed.store);
  if (view.rows.length === 0) {
    return <Notice>{view.phase === "loading" ? "Loading trades…" : "No trades yet."}</Notice>;
  }
  return (
    <div className="tape">
      <div className="ladder-head">
        <span>Price {instrument.quote_asset}</span>
        <span>Size {instrument.base_asset}</span>
        <span>Time UTC</span>
      </div>
      <div className="tape-rows">
        {view.rows.map((row) => (
          <div key={row.seq} className="tape-row">
            <span className={row.direction === null ? "" : `text-${row.direction}`}>{grouped(row.price)}</span>
            <span>{quantity(row.size)}</span>
            <span className="muted">{clock(row.time, true)}</span>
          </div>
        ))}
      </div>
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

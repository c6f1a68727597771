import { decimal, type Instrument } from "agio-sdk";
import { compact, grouped, NOTHING, signed, tone } from "@/shared/format.ts";
import { useLive, type FrameStore } from "@/shared/live/frame_store.ts";
import type { QuoteFeed } from "@/shared/live/quote_feed.ts";
import type { Ticker } from "@/shared/live/ticker_feed.ts";

interface Props {
  readonly instrument: Instrument;
  readonly ticker: FrameStore<Ticker>;
  readonly quotes: QuoteFeed;
}

/** The last price with its change, and today's figures beside it. */
export function SymbolFigures({ instrument, ticker, quotes }: Props) {
  const now = useLive(ticker);
  const quote = useLive(quotes.store);
  const spread =
    quote?.bid != null && quote.ask != null
      ? decimal.format(decimal.subtract(decimal.of(quote.ask), decimal.of(quote.bid)))
      : null;
  return (
    <>
      <div className="symbol-last">
        <span key={now.ticks} className={now.direction === null ? "" : `text-${now.direction}`}>
          {grouped(now.last)}
        </span>
        <span className={`symbol-change ${tone(now.change)}`}>
          {signed(now.change)} ({now.changePercent === null ? NOTHING : `${signed(now.changePercent)}%`})
        </span>
      </div>
      <dl className="figures">
        <Figure label="Bid" text={grouped(quote?.bid)} />
        <Figure label="Ask" text={grouped(quote?.ask)} />
        <Figure label="Spread" text={grouped(spread)} />
        <Figure label="High" text={grouped(now.high)} />
        <Figure label="Low" text={grouped(now.low)} />
        <Figure label={`Volume ${instrument.base_asset}`} text={compact(now.volume)} />
      </dl>
    </>
  );
}

function Figure({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{text}</dd>
    </div>
  );
}

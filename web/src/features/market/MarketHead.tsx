import type { Instrument } from "agio-sdk";
import { milliseconds } from "@/shared/format.ts";
import { useLive, type FrameStore } from "@/shared/live/frame_store.ts";
import type { HealthFeed } from "@/shared/live/health_feed.ts";
import type { QuoteFeed } from "@/shared/live/quote_feed.ts";
import type { Ticker } from "@/shared/live/ticker_feed.ts";
import { SymbolFigures } from "@/shared/SymbolFigures.tsx";
import { StateChip } from "./StateChip.tsx";

interface Props {
  readonly instruments: readonly Instrument[];
  readonly instrument: Instrument;
  readonly ticker: FrameStore<Ticker>;
  readonly quotes: QuoteFeed;
  readonly health: HealthFeed;
  /** Null for the list of all. */
  readonly onOpen: (symbol: string | null) => void;
}

export function MarketHead({ instruments, instrument, ticker, quotes, health, onOpen }: Props) {
  return (
    <section className="panel area-head" aria-label={`Market of ${instrument.symbol}`}>
      <div className="market-head">
        <SymbolChoice instruments={instruments} instrument={instrument} onOpen={onOpen} />
        <SymbolFigures instrument={instrument} ticker={ticker} quotes={quotes} />
        <Freshness instrument={instrument} health={health} />
      </div>
    </section>
  );
}

function SymbolChoice({ instruments, instrument, onOpen }: Pick<Props, "instruments" | "instrument" | "onOpen">) {
  return (
    <div className="symbol-choice">
      <button
        type="button"
        className="quiet"
        title="All instruments (Escape)"
        aria-label="All instruments"
        onClick={() => onOpen(null)}
      >
        ‹
      </button>
      <select
        className="symbol-select"
        aria-label="Instrument"
        title="[ and ] go to the instrument before and after"
        value={instrument.symbol}
        onChange={(event) => onOpen(event.target.value)}
      >
        {instruments.map((one) => (
          <option key={one.symbol} value={one.symbol}>
            {one.symbol}
          </option>
        ))}
      </select>
      <span className="symbol-about">
        {instrument.name} · {instrument.venue}
      </span>
    </div>
  );
}

/** Whether the venue of this instrument speaks, how old its last word is, and how far its clock is from ours. */
function Freshness({ instrument, health }: Pick<Props, "instrument" | "health">) {
  const { sources } = useLive(health.store);
  const source = sources.find((one) => one.source === instrument.venue);
  const own = source?.symbols.find((one) => one.symbol === instrument.symbol);
  const [age, skew] = [own?.ageMs ?? source?.ageMs ?? null, own?.skewMs ?? source?.skewMs ?? null];
  return (
    <div className="freshness">
      <StateChip name={instrument.venue} state={own?.state ?? source?.state ?? null} />
      {age !== null && <span className="muted">{milliseconds(age)} ago</span>}
      {skew !== null && <span className="muted">clock {milliseconds(skew)}</span>}
    </div>
  );
}

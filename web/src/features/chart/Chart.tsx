import { decimal, type Agio, type Instrument, type Interval } from "agio-sdk";
import { useEffect, useRef, useState } from "react";
import { compact, grouped } from "@/shared/format.ts";
import { CandleChart, type ChartView } from "@/shared/candles/candle_chart.ts";
import type { BarChannels } from "@/shared/live/bar_channels.ts";
import { useLive, type FrameStore } from "@/shared/live/frame_store.ts";
import type { QuoteFeed } from "@/shared/live/quote_feed.ts";
import type { Ticker } from "@/shared/live/ticker_feed.ts";
import { Notice } from "@/shared/Panel.tsx";
import { SymbolFigures } from "@/shared/SymbolFigures.tsx";
import { Choice } from "@/shared/Tabs.tsx";

const INTERVALS = [
  { name: "1s", label: "1s" },
  { name: "1m", label: "1m" },
] as const;

interface Props {
  readonly agio: Agio;
  readonly bars: BarChannels;
  readonly instrument: Instrument;
  readonly ticker: FrameStore<Ticker>;
  readonly quotes: QuoteFeed;
}

export function Chart({ agio, bars, instrument, ticker, quotes }: Props) {
  const [interval, setInterval] = useState<Interval>("1m");
  return (
    <section className="panel area-chart" aria-label={`Chart of ${instrument.symbol}`}>
      <SymbolHead instrument={instrument} ticker={ticker} quotes={quotes} />
      <Candles
        key={`${instrument.symbol} ${interval}`}
        agio={agio}
        bars={bars}
        instrument={instrument}
        interval={interval}
        tools={<Choice label="Interval" tabs={INTERVALS} selected={interval} onSelect={setInterval} />}
      />
    </section>
  );
}

function SymbolHead({ instrument, ticker, quotes }: Pick<Props, "instrument" | "ticker" | "quotes">) {
  return (
    <header className="symbol-head">
      <div className="symbol-name">
        <h2>{instrument.symbol}</h2>
        <span>
          {instrument.name} · {instrument.venue}
        </span>
      </div>
      <SymbolFigures instrument={instrument} ticker={ticker} quotes={quotes} />
    </header>
  );
}

interface CandlesProps {
  readonly agio: Agio;
  readonly bars: BarChannels;
  readonly instrument: Instrument;
  readonly interval: Interval;
  readonly tools: React.ReactNode;
}

function Candles({ agio, bars, instrument, interval, tools }: CandlesProps) {
  const box = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<CandleChart | null>(null);

  useEffect(() => {
    if (box.current === null) return undefined;
    const choice = { instrument, interval, zone: "utc", hasVwap: false } as const;
    const made = new CandleChart(box.current, agio, bars, choice);
    setChart(made);
    return () => made.close();
  }, [agio, bars, instrument, interval]);

  return (
    <div className="chart">
      <div className="chart-bar">
        {tools}
        {chart !== null && <Legend store={chart.store} />}
        <a
          className="attribution"
          href="https://www.tradingview.com/"
          title="TradingView Lightweight Charts™ Copyright (c) 2025 TradingView, Inc."
          target="_blank"
          rel="noreferrer"
        >
          Charts by TradingView
        </a>
      </div>
      <div ref={box} className="chart-canvas" />
      {chart !== null && <ChartNotice store={chart.store} />}
    </div>
  );
}

function Legend({ store }: { readonly store: FrameStore<ChartView> }) {
  const { shown } = useLive(store);
  if (shown === null) return null;
  const direction = decimal.compare(decimal.of(shown.close), decimal.of(shown.open)) < 0 ? "down" : "up";
  return (
    <dl className={`legend ${direction}`} aria-label="Values of the candle">
      <LegendPart label="O" text={grouped(shown.open)} />
      <LegendPart label="H" text={grouped(shown.high)} />
      <LegendPart label="L" text={grouped(shown.low)} />
      <LegendPart label="C" text={grouped(shown.close)} />
      <LegendPart label="V" text={compact(shown.volume)} />
    </dl>
  );
}

function LegendPart({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{text}</dd>
    </div>
  );
}

function ChartNotice({ store }: { readonly store: FrameStore<ChartView> }) {
  const { loading, isEmpty } = useLive(store);
  if (!isEmpty) return null;
  if (loading.phase === "failed") return <Notice tone="bad">{loading.message}</Notice>;
  return <Notice>{loading.phase === "loading" ? "Loading candles…" : "No trades yet: candles appear with the first."}</Notice>;
}

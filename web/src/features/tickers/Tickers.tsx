import { useRef, type KeyboardEvent } from "react";
import { grouped, tone } from "@/shared/format.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { Ticker, TickerFeed } from "@/shared/live/ticker_feed.ts";
import { Content, Panel } from "@/shared/Panel.tsx";
import { Sparkline } from "@/shared/Sparkline.tsx";

interface Props {
  readonly feed: TickerFeed;
  readonly selected: string | null;
  readonly onSelect: (symbol: string) => void;
}

export function Tickers({ feed, selected, onSelect }: Props) {
  const { loading, instruments } = useLive(feed.list);
  const list = useRef<HTMLDivElement>(null);

  function move(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = instruments.findIndex((one) => one.symbol === selected);
    const next = instruments[Math.min(Math.max(at + step, 0), instruments.length - 1)];
    if (next === undefined) return;
    onSelect(next.symbol);
    list.current?.querySelector<HTMLElement>(`[data-symbol="${next.symbol}"]`)?.focus();
  }

  return (
    <Panel title="Markets" area="area-tickers" tools={<span className="panel-note">Since 00:00 UTC</span>}>
      <Content loading={loading} isEmpty={instruments.length === 0} empty="There are no instruments.">
        <div ref={list} className="tickers" role="listbox" aria-label="Instruments" onKeyDown={move}>
          {instruments.map((instrument) => (
            <Row
              key={instrument.symbol}
              feed={feed}
              symbol={instrument.symbol}
              isSelected={instrument.symbol === selected}
              onSelect={onSelect}
            />
          ))}
        </div>
      </Content>
    </Panel>
  );
}

interface RowProps {
  readonly feed: TickerFeed;
  readonly symbol: string;
  readonly isSelected: boolean;
  readonly onSelect: (symbol: string) => void;
}

function Row({ feed, symbol, isSelected, onSelect }: RowProps) {
  const ticker = useLive(feed.ticker(symbol));
  const direction = tone(ticker.change);
  return (
    <button
      type="button"
      role="option"
      aria-selected={isSelected}
      className="ticker"
      data-symbol={symbol}
      tabIndex={isSelected ? 0 : -1}
      onClick={() => onSelect(symbol)}
    >
      <span className="ticker-symbol">{symbol}</span>
      <span className="ticker-name">{ticker.instrument.name}</span>
      <Sparkline values={ticker.spark} tone={direction} />
      <Last ticker={ticker} />
      <span className={`ticker-change ${direction}`}>{changeText(ticker)}</span>
    </button>
  );
}

function Last({ ticker }: { readonly ticker: Ticker }) {
  // A new key starts the flash anew.
  return (
    <span key={ticker.ticks} className={`ticker-last ${ticker.direction === null ? "" : `flash-${ticker.direction}`}`}>
      {grouped(ticker.last)}
    </span>
  );
}

function changeText(ticker: Ticker): string {
  if (ticker.changePercent === null) return "–";
  const sign = tone(ticker.changePercent) === "up" ? "+" : "";
  return `${sign}${grouped(ticker.changePercent)}%`;
}

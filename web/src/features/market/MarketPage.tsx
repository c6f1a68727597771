import type { Agio, Instrument, Me } from "agio-sdk";
import { useEffect, useState } from "react";
import { BarChannels } from "@/shared/live/bar_channels.ts";
import { BookFeed } from "@/shared/live/book_feed.ts";
import type { ConnectionFeed } from "@/shared/live/connection_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { HealthFeed } from "@/shared/live/health_feed.ts";
import { QuoteFeed } from "@/shared/live/quote_feed.ts";
import { TickerFeed } from "@/shared/live/ticker_feed.ts";
import { TradesFeed } from "@/shared/live/trades_feed.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { DepthPanel } from "./DepthPanel.tsx";
import { Directory } from "./Directory.tsx";
import { HealthPanel } from "./HealthPanel.tsx";
import { HistoryPanel } from "./HistoryPanel.tsx";
import type { ChartPreferences } from "./intervals.ts";
import { MarketHead } from "./MarketHead.tsx";
import { TapePanel } from "./TapePanel.tsx";
import { useSymbolKeys } from "./use_symbol_keys.ts";

const BOOK_LEVELS = 400;
const TAPE_KEPT = 5_000;

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly connection: ConnectionFeed;
  /** The chosen symbol. */
  readonly parts: readonly string[];
  readonly onGo: (parts: readonly string[]) => void;
}

export interface MarketFeeds {
  readonly bars: BarChannels;
  readonly tickers: TickerFeed;
  readonly health: HealthFeed;
}

/** What the market does: a directory of instruments, and everything about one of them. */
export function MarketPage(props: Props) {
  const { agio, me, connection } = props;
  const mayRead = me.scopes.includes("market:read");
  const [feeds, setFeeds] = useState<MarketFeeds | null>(null);

  useEffect(() => {
    if (!mayRead) return undefined;
    const bars = new BarChannels(connection.stream);
    const tickers = new TickerFeed(agio, bars);
    const health = new HealthFeed(agio);
    setFeeds({ bars, tickers, health });
    return () => {
      tickers.close();
      health.close();
    };
  }, [agio, connection, mayRead]);

  if (!mayRead) {
    return (
      <main className="market">
        <Panel title="Market" area="market-none">
          <Notice>
            This key may not read the market: make one with the scope <code>market:read</code> (POST /api/keys).
          </Notice>
        </Panel>
      </main>
    );
  }
  return feeds === null ? null : <Market {...props} feeds={feeds} />;
}

function Market({ agio, connection, parts, onGo, feeds }: Props & { readonly feeds: MarketFeeds }) {
  const { instruments, loading } = useLive(feeds.tickers.list);
  const [preferences, setPreferences] = useState<ChartPreferences>({ interval: "1m", zone: "utc" });
  const [symbol = null] = parts;
  if (symbol === null) return <Directory feeds={feeds} stream={connection.stream} onOpen={(one) => onGo([one])} />;
  const instrument = instruments.find((one) => one.symbol === symbol);
  if (instrument === undefined) {
    return (
      <main className="market">
        <Panel title="Market" area="market-none">
          {loading.phase === "loading" && <Notice>Loading…</Notice>}
          {loading.phase === "failed" && <Notice tone="bad">{loading.message}</Notice>}
          {loading.phase === "ready" && (
            <Notice>
              There is no instrument {symbol}. <button className="link" onClick={() => onGo([])}>All instruments</button>
            </Notice>
          )}
        </Panel>
      </main>
    );
  }
  return (
    <OneMarket
      key={symbol}
      agio={agio}
      connection={connection}
      feeds={feeds}
      instruments={instruments}
      instrument={instrument}
      preferences={preferences}
      onPreferences={(part) => setPreferences((known) => ({ ...known, ...part }))}
      onOpen={(one) => onGo(one === null ? [] : [one])}
    />
  );
}

interface OneProps {
  readonly agio: Agio;
  readonly connection: ConnectionFeed;
  readonly feeds: MarketFeeds;
  readonly instruments: readonly Instrument[];
  readonly instrument: Instrument;
  readonly preferences: ChartPreferences;
  readonly onPreferences: (part: Partial<ChartPreferences>) => void;
  readonly onOpen: (symbol: string | null) => void;
}

interface SymbolFeeds {
  readonly quotes: QuoteFeed;
  readonly book: BookFeed;
  readonly trades: TradesFeed;
}

function OneMarket(props: OneProps) {
  const { agio, connection, feeds, instruments, instrument, preferences, onPreferences, onOpen } = props;
  const [symbolFeeds, setSymbolFeeds] = useState<SymbolFeeds | null>(null);
  const { symbol } = instrument;
  useSymbolKeys(instruments, instrument, onOpen);

  useEffect(() => {
    const { stream } = connection;
    const quotes = new QuoteFeed(stream, symbol);
    const book = new BookFeed(stream, symbol, BOOK_LEVELS);
    const trades = new TradesFeed(agio, stream, symbol, TAPE_KEPT);
    setSymbolFeeds({ quotes, book, trades });
    return () => {
      quotes.close();
      book.close();
      trades.close();
    };
  }, [agio, connection, symbol]);

  if (symbolFeeds === null) return null;
  const { quotes, book, trades } = symbolFeeds;
  return (
    <main className="market">
      <MarketHead
        instruments={instruments}
        instrument={instrument}
        ticker={feeds.tickers.ticker(symbol)}
        quotes={quotes}
        health={feeds.health}
        onOpen={onOpen}
      />
      <HistoryPanel
        agio={agio}
        bars={feeds.bars}
        instrument={instrument}
        preferences={preferences}
        onPreferences={onPreferences}
      />
      <DepthPanel instrument={instrument} book={book} />
      <TapePanel agio={agio} instrument={instrument} trades={trades} zone={preferences.zone} />
      <HealthPanel instrument={instrument} connection={connection} health={feeds.health} book={book} trades={trades} />
    </main>
  );
}

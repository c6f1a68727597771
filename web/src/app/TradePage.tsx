import type { Account, Instrument, Portfolio as PortfolioModel } from "agio-sdk";
import { useEffect, useState } from "react";
import { Blotter } from "@/features/blotter/Blotter.tsx";
import { Depth } from "@/features/book/Depth.tsx";
import { TradesPanel } from "@/features/book/Tape.tsx";
import { Chart } from "@/features/chart/Chart.tsx";
import { Portfolio } from "@/features/portfolio/Portfolio.tsx";
import { Tickers } from "@/features/tickers/Tickers.tsx";
import { Ticket } from "@/features/ticket/Ticket.tsx";
import { AccountFeed } from "@/shared/live/account_feed.ts";
import { BookFeed } from "@/shared/live/book_feed.ts";
import { BarChannels } from "@/shared/live/bar_channels.ts";
import type { ConnectionFeed } from "@/shared/live/connection_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { PortfolioFeed } from "@/shared/live/portfolio_feed.ts";
import { QuoteFeed } from "@/shared/live/quote_feed.ts";
import { TickerFeed } from "@/shared/live/ticker_feed.ts";
import { TradesFeed } from "@/shared/live/trades_feed.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import type { PriceDraft } from "@/shared/price_draft.ts";
import type { Holdings } from "./holdings.ts";
import type { Session } from "./session.ts";

interface Props {
  readonly session: Session;
  readonly connection: ConnectionFeed;
  readonly holdings: Holdings;
  readonly account: Account | undefined;
}

interface Feeds {
  readonly connection: ConnectionFeed;
  readonly bars: BarChannels;
  readonly tickers: TickerFeed;
}

/** Markets, orders and positions: opens the market's feeds, closes them when it goes. */
export function TradePage(props: Props) {
  const { agio } = props.session;
  const { connection } = props;
  const [feeds, setFeeds] = useState<Feeds | null>(null);

  useEffect(() => {
    const bars = new BarChannels(connection.stream);
    const tickers = new TickerFeed(agio, bars);
    setFeeds({ connection, bars, tickers });
    return () => tickers.close();
  }, [agio, connection]);

  if (feeds === null) return null;
  return <Desk {...props} feeds={feeds} />;
}

function Desk({ session, holdings, account, feeds }: Props & { readonly feeds: Feeds }) {
  const { tickers } = feeds;
  const { instruments } = useLive(tickers.list);
  const [wantedSymbol, setSymbol] = useState<string | null>(null);
  const instrument = instruments.find((one) => one.symbol === wantedSymbol) ?? instruments[0];
  return (
    <main className="grid">
      <Tickers feed={tickers} selected={instrument?.symbol ?? null} onSelect={setSymbol} />
      {instrument === undefined || account === undefined ? (
        <Waiting failure={holdings.failure} isAccountMissing={holdings.isLoaded && account === undefined} />
      ) : (
        <Trading
          session={session}
          feeds={feeds}
          instrument={instrument}
          account={account}
          portfolio={holdings.portfolios.find((one) => one.account_ids.includes(account.account_id))}
          key={account.account_id}
        />
      )}
    </main>
  );
}

function Waiting({ failure, isAccountMissing }: { readonly failure: string | null; readonly isAccountMissing: boolean }) {
  return (
    <Panel title="Workspace" area="area-waiting">
      {failure !== null && <Notice tone="bad">{failure}</Notice>}
      {failure === null && isAccountMissing && <Notice>This organisation has no account yet: POST /api/accounts opens one.</Notice>}
      {failure === null && !isAccountMissing && <Notice>Loading…</Notice>}
    </Panel>
  );
}

interface SymbolFeeds {
  readonly symbol: string;
  readonly quotes: QuoteFeed;
  readonly book: BookFeed;
  readonly trades: TradesFeed;
}

interface TradingProps {
  readonly session: Session;
  readonly feeds: Feeds;
  readonly instrument: Instrument;
  readonly account: Account;
  readonly portfolio: PortfolioModel | undefined;
}

/** Everything that needs an instrument and an account. */
function Trading({ session, feeds, instrument, account, portfolio }: TradingProps) {
  const { agio, me } = session;
  const { stream } = feeds.connection;
  const [draft, setDraft] = useState<PriceDraft | null>(null);
  const [symbolFeeds, setSymbolFeeds] = useState<SymbolFeeds | null>(null);
  const [money, setMoney] = useState<{ account: AccountFeed; portfolio: PortfolioFeed | null } | null>(null);
  const portfolioId = portfolio?.portfolio_id ?? null;

  useEffect(() => {
    const quotes = new QuoteFeed(stream, instrument.symbol);
    const book = new BookFeed(stream, instrument.symbol);
    const trades = new TradesFeed(agio, stream, instrument.symbol);
    setSymbolFeeds({ symbol: instrument.symbol, quotes, book, trades });
    setDraft(null);
    return () => {
      quotes.close();
      book.close();
      trades.close();
    };
  }, [agio, stream, instrument.symbol]);

  useEffect(() => {
    const ofPortfolio = portfolioId === null ? null : new PortfolioFeed(agio, stream, portfolioId);
    const ofAccount = new AccountFeed(agio, stream, account.account_id, () => ofPortfolio?.refreshSoon());
    setMoney({ account: ofAccount, portfolio: ofPortfolio });
    return () => {
      ofAccount.close();
      ofPortfolio?.close();
    };
  }, [agio, stream, account.account_id, portfolioId]);

  if (symbolFeeds === null || money === null || symbolFeeds.symbol !== instrument.symbol) return null;
  const { quotes, book, trades } = symbolFeeds;
  const ticker = feeds.tickers.ticker(instrument.symbol);
  const canTrade = me.scopes.includes("orders:write");
  const pick = (price: string) => setDraft((known) => ({ price, pick: (known?.pick ?? 0) + 1 }));
  return (
    <>
      <Chart agio={agio} bars={feeds.bars} instrument={instrument} ticker={ticker} quotes={quotes} />
      <TradesPanel instrument={instrument} book={book} trades={trades} />
      <div className="area-side">
        <Depth instrument={instrument} book={book} trades={trades} onPick={pick} />
        <Ticket
          key={instrument.symbol}
          agio={agio}
          instrument={instrument}
          account={money.account}
          ticker={ticker}
          quotes={quotes}
          draft={draft}
          canTrade={canTrade}
        />
      </div>
      <Blotter agio={agio} account={money.account} canTrade={canTrade} />
      <Portfolio feed={money.portfolio} account={money.account} currency={portfolio?.base_currency ?? account.base_currency} />
    </>
  );
}

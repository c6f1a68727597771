import { decimal, type Instrument, type Quote, type Stream } from "agio-sdk";
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { compact, grouped, NOTHING, signed, tone, words } from "@/shared/format.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { QuoteFeed } from "@/shared/live/quote_feed.ts";
import type { SourceHealth } from "@/shared/live/source_health.ts";
import { Content, Panel } from "@/shared/Panel.tsx";
import { Sparkline } from "@/shared/Sparkline.tsx";
import { Table } from "@/shared/Table.tsx";
import { searchInstruments } from "./directory.ts";
import { spreadOf } from "./grouping.ts";
import type { MarketFeeds } from "./MarketPage.tsx";
import { StateChip } from "./StateChip.tsx";

const SHOWN_AT_ONCE = 100;
const HEADS = ["Symbol", "Name", "Source", "Last", "Change", "Bid", "Ask", "Spread", "Volume", "Last hour"] as const;

interface Props {
  readonly feeds: MarketFeeds;
  readonly stream: Stream;
  readonly onOpen: (symbol: string) => void;
}

/** The entrance: every instrument, found by a few letters. */
export function Directory({ feeds, stream, onOpen }: Props) {
  const { instruments, loading } = useLive(feeds.tickers.list);
  const { sources } = useLive(feeds.health.store);
  const [wanted, setWanted] = useState("");
  const rows = useRef<HTMLDivElement>(null);
  const found = useMemo(() => searchInstruments(instruments, wanted), [instruments, wanted]);

  function move(event: KeyboardEvent) {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    const links = [...(rows.current?.querySelectorAll<HTMLElement>("a.row-link") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLElement);
    event.preventDefault();
    links[Math.min(Math.max(at + step, 0), links.length - 1)]?.focus();
  }

  return (
    <main className="directory">
      <Panel
        title="Instruments"
        area="directory-panel"
        tools={
          <Search wanted={wanted} onWanted={setWanted} onEnter={() => found[0] !== undefined && onOpen(found[0].symbol)} onMove={move}>
            {found.length} of {instruments.length}
          </Search>
        }
      >
        <Content
          loading={loading}
          isEmpty={found.length === 0}
          empty={instruments.length === 0 ? "There are no instruments yet." : `Nothing is called ${wanted.trim()}.`}
        >
          <div ref={rows} className="directory-rows" onKeyDown={move}>
            <Table label="Instruments" heads={HEADS} texts={3}>
              {found.slice(0, SHOWN_AT_ONCE).map((instrument) => (
                <Row
                  key={instrument.symbol}
                  feeds={feeds}
                  stream={stream}
                  instrument={instrument}
                  source={sources.find((one) => one.source === instrument.venue)}
                  onOpen={onOpen}
                />
              ))}
            </Table>
            {found.length > SHOWN_AT_ONCE && (
              <p className="panel-hint">{found.length - SHOWN_AT_ONCE} more: search to narrow the list.</p>
            )}
          </div>
        </Content>
      </Panel>
    </main>
  );
}

interface SearchProps {
  readonly wanted: string;
  readonly onWanted: (wanted: string) => void;
  readonly onEnter: () => void;
  readonly onMove: (event: KeyboardEvent) => void;
  readonly children: ReactNode;
}

function Search({ wanted, onWanted, onEnter, onMove, children }: SearchProps) {
  return (
    <form
      className="directory-search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        onEnter();
      }}
      onKeyDown={onMove}
    >
      <input
        className="box"
        type="search"
        aria-label="Search instruments"
        placeholder="Symbol, name, asset or venue"
        autoComplete="off"
        spellCheck={false}
        value={wanted}
        onChange={(event) => onWanted(event.target.value)}
      />
      <span className="panel-note" role="status">
        {children}
      </span>
    </form>
  );
}

interface RowProps {
  readonly feeds: MarketFeeds;
  readonly stream: Stream;
  readonly instrument: Instrument;
  readonly source: SourceHealth | undefined;
  readonly onOpen: (symbol: string) => void;
}

function Row({ feeds, stream, instrument, source, onOpen }: RowProps) {
  const { symbol } = instrument;
  const ticker = useLive(feeds.tickers.ticker(symbol));
  const [quotes, setQuotes] = useState<QuoteFeed | null>(null);

  useEffect(() => {
    const feed = new QuoteFeed(stream, symbol, "250ms");
    setQuotes(feed);
    return () => feed.close();
  }, [stream, symbol]);

  return (
    <tr onClick={() => onOpen(symbol)}>
      <td className="text strong">
        <a className="row-link" href={`#/market/${encodeURIComponent(symbol)}`}>
          {symbol}
        </a>
      </td>
      <td className="text muted">{instrument.name}</td>
      <td className="text">
        <StateChip name={instrument.venue} state={source?.state ?? null} />
        {instrument.status !== "active" && <span className="tag warn">{words(instrument.status)}</span>}
      </td>
      <td className="strong">
        <span key={ticker.ticks} className={ticker.direction === null ? "" : `flash-${ticker.direction}`}>
          {grouped(ticker.last)}
        </span>
      </td>
      <td className={`text-${tone(ticker.change)}`}>
        {ticker.changePercent === null ? NOTHING : `${signed(ticker.changePercent)}%`}
      </td>
      {quotes === null ? <NoQuote /> : <QuoteCells quotes={quotes} />}
      <td className="muted">{compact(ticker.volume)}</td>
      <td>
        <Sparkline values={ticker.spark} tone={tone(ticker.change)} />
      </td>
    </tr>
  );
}

function QuoteCells({ quotes }: { readonly quotes: QuoteFeed }) {
  const quote = useLive(quotes.store);
  if (quote === null) return <NoQuote />;
  return (
    <>
      <td>{grouped(quote.bid)}</td>
      <td>{grouped(quote.ask)}</td>
      <td className="muted">{spreadText(quote)}</td>
    </>
  );
}

function NoQuote() {
  return (
    <>
      <td>{NOTHING}</td>
      <td>{NOTHING}</td>
      <td>{NOTHING}</td>
    </>
  );
}

function spreadText({ bid, ask }: Quote): string {
  const spread = bid === null || ask === null ? null : spreadOf({ price: bid, size: "0" }, { price: ask, size: "0" });
  if (spread === null) return NOTHING;
  const isTight = decimal.sign(decimal.of(spread.width)) > 0;
  return isTight && spread.basisPoints !== null ? `${grouped(spread.width)} · ${spread.basisPoints} bps` : grouped(spread.width);
}

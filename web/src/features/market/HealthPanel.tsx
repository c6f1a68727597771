import type { Instrument } from "agio-sdk";
import { useEffect, useState } from "react";
import { clock, count, milliseconds, NOTHING, span, words } from "@/shared/format.ts";
import type { BookFeed } from "@/shared/live/book_feed.ts";
import { STATE_WORDS, type ConnectionFeed } from "@/shared/live/connection_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { HealthFeed } from "@/shared/live/health_feed.ts";
import { NO_COUNTERS, type Counters, type SourceHealth, type SymbolHealth } from "@/shared/live/source_health.ts";
import type { TradesFeed } from "@/shared/live/trades_feed.ts";
import { Content, Panel } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { Tabs } from "@/shared/Tabs.tsx";
import { StateChip } from "./StateChip.tsx";

interface Props {
  readonly instrument: Instrument;
  readonly connection: ConnectionFeed;
  readonly health: HealthFeed;
  readonly book: BookFeed;
  readonly trades: TradesFeed;
}

type Tab = "sources" | "stream";

/** Whether the data can be trusted: the venues' side, and our own stream's. */
export function HealthPanel(props: Props) {
  const [tab, setTab] = useState<Tab>("sources");
  const tabs = [
    { name: "sources", label: "Sources" },
    { name: "stream", label: <StreamLabel connection={props.connection} /> },
  ] as const;
  return (
    <Panel
      title="Continuity"
      area="area-health"
      tools={<Tabs label="Continuity of" tabs={tabs} selected={tab} onSelect={setTab} />}
    >
      {tab === "sources" ? <Sources {...props} /> : <StreamFacts {...props} />}
    </Panel>
  );
}

function StreamLabel({ connection }: Pick<Props, "connection">) {
  const { gapCount } = useLive(connection.store);
  return <>This stream {gapCount > 0 && <span className="count warn">{count(gapCount)}</span>}</>;
}

/** More is no skew but a recorded market. */
const LARGEST_SKEW_MS = 3_600_000;
const HEADS = ["Source", "Age", "Clock", "Gaps", "Resyncs", "Bad CRC", "Reconnects"] as const;

function Sources({ instrument, health, connection, book, trades }: Props) {
  const { sources, loading, readAt } = useLive(health.store);
  const ordered = [...sources].sort((left, right) => rankOf(left, instrument) - rankOf(right, instrument));
  return (
    <Content loading={loading} isEmpty={sources.length === 0} empty="The market has no source.">
      <Table label="Sources" heads={HEADS} texts={1}>
        {ordered.flatMap((source) => [
          <SourceRow key={source.source} source={source} />,
          ...source.symbols
            .filter((one) => one.symbol === instrument.symbol)
            .map((one) => <SymbolRow key={`${source.source} ${one.symbol}`} one={one} />),
          source.source === instrument.venue && source.ageMs === null && (
            <ObservedRow key={`${source.source} observed`} {...{ instrument, connection, book, trades }} />
          ),
        ])}
      </Table>
      {loading.phase === "failed" && (
        <p className="panel-hint text-down" role="alert">
          As of {readAt === null ? NOTHING : clock(new Date(readAt).toISOString())} UTC: {loading.message}
        </p>
      )}
    </Content>
  );
}

function rankOf(source: SourceHealth, instrument: Instrument): number {
  return source.source === instrument.venue ? 0 : 1;
}

function SourceRow({ source }: { readonly source: SourceHealth }) {
  return (
    <tr title={titleOf(source)}>
      <td className="text">
        <StateChip name={source.source} state={source.state} />
      </td>
      <Figures one={source} />
    </tr>
  );
}

/** Of a source that counts nothing itself: what this page hears of it. */
function ObservedRow({ instrument, connection, book, trades }: Omit<Props, "health">) {
  const now = useSeconds();
  // Looked at once a second, so that the figures can be read.
  const { checks } = book.store.snapshot();
  const { heard } = trades.store.snapshot();
  const { clockOffsetMs } = connection.store.snapshot();
  const heardAt = Math.max(checks.at ?? 0, heard?.at ?? 0);
  const ageMs = heardAt === 0 || clockOffsetMs === null ? null : Math.max(0, now + clockOffsetMs - heardAt);
  const skewMs = heard !== null && Math.abs(heard.behindVenueMs) < LARGEST_SKEW_MS ? heard.behindVenueMs : null;
  return (
    <tr title="As this page hears it">
      <td className="text symbol-health">{instrument.symbol}</td>
      <Figures one={{ ageMs, skewMs, counters: NO_COUNTERS }} />
    </tr>
  );
}

function SymbolRow({ one }: { readonly one: SymbolHealth }) {
  const isGood = one.book === null || one.book === "ok";
  return (
    <tr title={one.reason ?? ""}>
      <td className="text symbol-health">
        {one.symbol} {one.book !== null && <span className={`tag ${isGood ? "allow" : "deny"}`}>book {words(one.book).toLowerCase()}</span>}
      </td>
      <Figures one={one} />
    </tr>
  );
}

interface FiguresProps {
  readonly one: { readonly ageMs: number | null; readonly skewMs: number | null; readonly counters: Counters };
}

function Figures({ one }: FiguresProps) {
  const { counters } = one;
  return (
    <>
      <td>{milliseconds(one.ageMs)}</td>
      <td>{milliseconds(one.skewMs)}</td>
      <Counter value={counters.gaps} />
      <Counter value={counters.resyncs} />
      <Counter value={counters.badChecksums} />
      <Counter value={counters.reconnects} />
    </>
  );
}

function Counter({ value }: { readonly value: number | null }) {
  return <td className={value !== null && value > 0 ? "counted" : "muted"}>{count(value)}</td>;
}

function titleOf(source: SourceHealth): string {
  const { counters } = source;
  const parts = [
    source.since === null ? null : `${source.state} since ${clock(source.since)} UTC`,
    counters.messages === null ? null : `${count(counters.messages)} messages`,
    counters.stale === null ? null : `stale ${count(counters.stale)} times`,
    counters.malformed === null ? null : `${count(counters.malformed)} malformed`,
    source.lastError === null ? null : `last error: ${source.lastError}`,
  ];
  return parts.filter((part) => part !== null).join(", ");
}

function StreamFacts({ connection, book, trades }: Props) {
  const view = useLive(connection.store);
  const { checks, phase } = useLive(book.store);
  const tape = useLive(trades.store);
  const now = useSeconds();
  const checked = checks.verified + checks.failed;
  return (
    <div className="stream-facts">
      <dl className="facts">
        <Fact label="State">
          <span className={`state-word is-${view.state}`}>{STATE_WORDS[view.state]}</span> for {span((now - view.stateSince) / 1000)}
        </Fact>
        <Fact label="Reconnects">{count(view.reconnects)}</Fact>
        <Fact label="Heartbeat">
          {view.heartbeatAt === null ? "None yet" : `${span((now - view.heartbeatAt) / 1000)} ago`}
        </Fact>
        <Fact label="Clock">{view.clockOffsetMs === null ? NOTHING : `${milliseconds(-view.clockOffsetMs)} ahead of the server`}</Fact>
        <Fact label="Book CRC">
          {phase === "none" ? "No book" : `Verified ${count(checks.verified)} of ${count(checked)}`}
        </Fact>
        <Fact label="Book resyncs">{count(checks.resyncs)}</Fact>
        <Fact label="Trades">
          {count(tape.received)} in order{tape.sequence !== null && `, up to no. ${count(tape.sequence)}`}
        </Fact>
        <Fact label="Gaps told">{view.gapCount === 0 ? "None" : count(view.gapCount)}</Fact>
      </dl>
      {view.gaps.length > 0 && (
        <ul className="gaps" aria-label="Gaps">
          {view.gaps.map((gap) => (
            <li key={`${gap.channel} ${gap.from} ${gap.at}`}>
              <time>{clock(new Date(gap.at).toISOString())}</time> <code>{gap.channel}</code> {count(gap.from)} to {count(gap.to)}{" "}
              <span className={`tag ${gap.recovered ? "allow" : "warn"}`}>{gap.recovered ? "made good" : "missing"}</span>{" "}
              <span className="muted">{words(gap.reason)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Fact({ label, children }: { readonly label: string; readonly children: React.ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** This machine's time, once a second. */
function useSeconds(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

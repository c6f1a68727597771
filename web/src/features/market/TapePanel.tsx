import { decimal, type Agio, type Instrument } from "agio-sdk";
import { useLayoutEffect, useRef, useState, type ReactNode, type UIEvent } from "react";
import { clock, count, decimalsOf, grouped, sized, words } from "@/shared/format.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import type { TapeEntry } from "@/shared/live/tape_log.ts";
import type { TapeView, TradesFeed } from "@/shared/live/trades_feed.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { useSize } from "@/shared/use_size.ts";
import { wallText, type Zone } from "@/shared/zone.ts";
import { ExportMenu, type ExportRequest } from "./ExportMenu.tsx";

const ROW_PX = 20;
const EXTRA_ROWS = 6;

interface Props {
  readonly agio: Agio;
  readonly instrument: Instrument;
  readonly trades: TradesFeed;
  readonly zone: Zone;
}

/** Time and sales: every trade, newest first; pausable, filtered by size. Only the rows in sight are drawn. */
export function TapePanel({ agio, instrument, trades, zone }: Props) {
  const live = useLive(trades.store);
  const [paused, setPaused] = useState<TapeView | null>(null);
  const [least, setLeast] = useState("");
  const view = paused ?? live;
  const isPaused = paused !== null;
  const missed = paused === null ? 0 : live.received - paused.received;

  function filter(text: string) {
    setLeast(text);
    const size = decimal.parse(text.trim());
    trades.showFrom(size === null || decimal.sign(size) <= 0 ? null : size);
    setPaused(null);
  }

  const toggle = () => setPaused((known) => (known === null ? live : null));
  usePauseKey(toggle);
  return (
    <Panel
      title="Time & sales"
      area="area-tape"
      tools={
        <>
          <button
            type="button"
            className={`quiet push-right ${isPaused ? "accent" : ""}`}
            aria-pressed={isPaused}
            title="Space"
            onClick={toggle}
          >
            {isPaused ? "Resume" : "Pause"}
          </button>
          <ExportMenu agio={agio} request={requestOf(view.entries, instrument)} />
        </>
      }
    >
      <SizeFilter least={least} onLeast={filter}>
        {isPaused ? `Paused, ${count(missed)} new` : `${count(view.entries.length)} of ${count(view.kept)}`}
      </SizeFilter>
      {view.refusal !== null && <Notice tone="bad">{view.refusal}</Notice>}
      {view.refusal === null && view.entries.length === 0 && <Notice>{emptyText(view)}</Notice>}
      {view.entries.length > 0 && (
        <Rows entries={view.entries} instrument={instrument} zone={zone} onAway={() => setPaused((known) => known ?? live)} />
      )}
    </Panel>
  );
}

interface FilterProps {
  readonly least: string;
  readonly onLeast: (text: string) => void;
  readonly children: ReactNode;
}

function SizeFilter({ least, onLeast, children }: FilterProps) {
  const isFaulty = least.trim() !== "" && decimal.parse(least.trim()) === null;
  return (
    <div className="tape-bar">
      <label>
        <span className="muted">Size from</span>
        <input
          className="box"
          inputMode="decimal"
          autoComplete="off"
          placeholder="any"
          aria-invalid={isFaulty}
          value={least}
          onChange={(event) => onLeast(event.target.value)}
        />
      </label>
      <span className="panel-note">{children}</span>
    </div>
  );
}

function emptyText(view: TapeView): string {
  if (view.phase === "loading") return "Loading trades…";
  return view.kept === 0 ? "No trades yet." : "No trade is that large.";
}

interface RowsProps {
  /** Oldest first. */
  readonly entries: readonly TapeEntry[];
  readonly instrument: Instrument;
  readonly zone: Zone;
  /** Scrolled away from the newest: nothing may move under the reader's eyes. */
  readonly onAway: () => void;
}

function Rows({ entries, instrument, zone, onAway }: RowsProps) {
  const box = useRef<HTMLDivElement>(null);
  const { height } = useSize(box);
  const [top, setTop] = useState(0);
  const decimals = decimalsOf(instrument.lot_size);
  const first = Math.max(0, Math.floor(top / ROW_PX) - EXTRA_ROWS);
  const last = Math.min(entries.length, Math.ceil((top + height) / ROW_PX) + EXTRA_ROWS);
  const shown: TapeEntry[] = [];
  for (let place = first; place < last; place += 1) shown.push(entries[entries.length - 1 - place] as TapeEntry);

  function scrolled(event: UIEvent<HTMLDivElement>) {
    const { scrollTop } = event.currentTarget;
    setTop(scrollTop);
    if (scrollTop > ROW_PX) onAway();
  }

  return (
    <div className="sales" role="table" aria-label="Time and sales" aria-rowcount={entries.length}>
      <div ref={box} className="sales-box" role="rowgroup" tabIndex={0} onScroll={scrolled}>
        <div className="sales-row sales-head" role="row">
          <span role="columnheader">{zone === "utc" ? "Time UTC" : "Local time"}</span>
          <span role="columnheader">Price</span>
          <span role="columnheader">Size</span>
          <span role="columnheader">Side</span>
        </div>
        <div className="sales-all" style={{ height: entries.length * ROW_PX }}>
          <div className="sales-window" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
            {shown.map((entry, place) => (
              <Row key={entry.seq} entry={entry} index={first + place} decimals={decimals} zone={zone} />
            ))}
          </div>
        </div>
      </div>
    </div>
  );
}

interface RowProps {
  readonly entry: TapeEntry;
  readonly index: number;
  readonly decimals: number;
  readonly zone: Zone;
}

function Row({ entry, index, decimals, zone }: RowProps) {
  const tone = entry.direction === null ? "" : `text-${entry.direction}`;
  return (
    <div
      className={`sales-row ${entry.isOverruled ? "overruled" : ""}`}
      role="row"
      aria-rowindex={index + 1}
      title={`No. ${entry.seq}, ${wallText(entry.time, zone)}${entry.id === null ? "" : `, id ${entry.id}`}`}
    >
      <span role="cell" className="muted">
        {clock(wallText(entry.time, zone), true)}
      </span>
      <span role="cell" className={tone}>
        {grouped(entry.price)}
      </span>
      <span role="cell">{sized(entry.size, decimals)}</span>
      <span role="cell" className="sales-side">
        {entry.mark === null ? (
          <span className={entry.side === null ? "muted" : tone}>{entry.side === null ? "–" : words(entry.side)}</span>
        ) : (
          <span className="tag warn" title={MARKS[entry.mark]}>
            {entry.mark}
          </span>
        )}
      </span>
    </div>
  );
}

const MARKS = {
  late: "Its venue time is before that of an earlier trade",
  replaces: "Corrects an earlier trade of the same id",
  cancels: "Takes an earlier trade of the same id back",
} as const;

/** All trades from the first to the last one shown; the filter by size is the page's alone. */
function requestOf(entries: readonly TapeEntry[], instrument: Instrument): ExportRequest | null {
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return null;
  const limit = last.seq - first.seq + 1;
  return {
    history: "trades",
    symbol: instrument.symbol,
    span: { after_seq: first.seq - 1, limit },
    words: `Trades no. ${count(first.seq)} to ${count(last.seq)}, of any size`,
  };
}

/** The space bar pauses and resumes, unless it means something where the focus is. */
function usePauseKey(toggle: () => void): void {
  const latest = useRef(toggle);
  latest.current = toggle;
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const isElsewhere = event.target instanceof HTMLElement && event.target.matches("input, select, textarea, button, a, summary");
      if (event.key !== " " || isElsewhere) return;
      event.preventDefault();
      latest.current();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

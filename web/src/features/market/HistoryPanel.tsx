import { decimal, type Agio, type Bar, type Instrument } from "agio-sdk";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { CandleChart, type ChartView } from "@/shared/candles/candle_chart.ts";
import { compact, count, grouped, moment, NOTHING, rounded } from "@/shared/format.ts";
import type { BarChannels } from "@/shared/live/bar_channels.ts";
import { useLive, type FrameStore } from "@/shared/live/frame_store.ts";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { Choice } from "@/shared/Tabs.tsx";
import { wallText, widthOf, zoneName, type Zone } from "@/shared/zone.ts";
import { ExportMenu, type ExportRequest } from "./ExportMenu.tsx";
import { INTERVALS, type ChartPreferences } from "./intervals.ts";

const ZONES = [
  { name: "utc", label: "UTC" },
  { name: "local", label: "Local" },
] as const;
const LONG_AGO = new Date(0);
const HOUR_MS = 3_600_000;

interface Props {
  readonly agio: Agio;
  readonly bars: BarChannels;
  readonly instrument: Instrument;
  readonly preferences: ChartPreferences;
  readonly onPreferences: (part: Partial<ChartPreferences>) => void;
}

/** Candles of any interval, as far back as there is history; the newest one moves. */
export function HistoryPanel({ agio, bars, instrument, preferences, onPreferences }: Props) {
  const { interval, zone } = preferences;
  const box = useRef<HTMLDivElement>(null);
  const [chart, setChart] = useState<CandleChart | null>(null);

  useEffect(() => {
    if (box.current === null) return undefined;
    const made = new CandleChart(box.current, agio, bars, { instrument, interval, zone, hasVwap: true });
    setChart(made);
    return () => {
      setChart(null);
      made.close();
    };
  }, [agio, bars, instrument, interval, zone]);

  return (
    <Panel
      title="Candles"
      area="area-history"
      tools={
        <>
          <Choices preferences={preferences} onPreferences={onPreferences} />
          <a
            className="attribution push-right"
            href="https://www.tradingview.com/"
            title="TradingView Lightweight Charts™ Copyright (c) 2025 TradingView, Inc."
            target="_blank"
            rel="noreferrer"
          >
            Charts by TradingView
          </a>
          {chart !== null && <Tools agio={agio} chart={chart} instrument={instrument} preferences={preferences} />}
        </>
      }
    >
      <div className="chart">
        <div className="chart-bar">
          {chart === null ? <span className="legend" /> : <Legend store={chart.store} zone={zone} />}
        </div>
        <div
          ref={box}
          className="chart-canvas"
          role="group"
          tabIndex={0}
          aria-label={`${interval} candles of ${instrument.symbol}: arrow keys scroll, plus and minus zoom, End shows the newest`}
          onKeyDown={(event) => chart !== null && steer(event, chart)}
        />
        {chart !== null && <ChartNotice store={chart.store} />}
      </div>
    </Panel>
  );
}

function Choices({ preferences, onPreferences }: Pick<Props, "preferences" | "onPreferences">) {
  const { interval, zone } = preferences;
  return (
    <>
      <select aria-label="Interval" value={interval} onChange={(event) => onPreferences({ interval: event.target.value })}>
        {INTERVALS.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <Choice label="Time zone" tabs={ZONES} selected={zone} onSelect={(one) => onPreferences({ zone: one })} />
    </>
  );
}

interface ToolsProps {
  readonly agio: Agio;
  readonly chart: CandleChart;
  readonly instrument: Instrument;
  readonly preferences: ChartPreferences;
}

function Tools({ agio, chart, instrument, preferences }: ToolsProps) {
  const view = useLive(chart.store);
  return (
    <>
      {!view.isAtNewest && (
        <button type="button" className="quiet" onClick={() => chart.showNewest()}>
          Newest
        </button>
      )}
      <ExportMenu agio={agio} request={requestOf(view, instrument, preferences, chart)} />
    </>
  );
}

function requestOf(
  view: ChartView,
  instrument: Instrument,
  { interval, zone }: ChartPreferences,
  chart: CandleChart,
): ExportRequest | null {
  if (view.visible === null) return null;
  const { start, end } = view.visible;
  const last = new Date(Date.parse(end) + 1).toISOString();
  let shown = 0;
  for (const time of chart.series.bars.keys()) if (time >= Date.parse(start) && time <= Date.parse(end)) shown += 1;
  const isByWallClock = widthOf(interval) > HOUR_MS;
  return {
    history: "bars",
    symbol: instrument.symbol,
    span: { interval, start, end: last, ...(isByWallClock && { time_zone: zoneName(zone) }) },
    words: `The ${count(shown)} candles on the screen`,
  };
}

function steer(event: KeyboardEvent, chart: CandleChart): void {
  const steps: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => chart.scroll(event.shiftKey ? -50 : -5),
    ArrowRight: () => chart.scroll(event.shiftKey ? 50 : 5),
    "+": () => chart.zoom(0.8),
    "-": () => chart.zoom(1.25),
    End: () => chart.showNewest(),
  };
  const step = steps[event.key];
  if (step === undefined) return;
  event.preventDefault();
  step();
}

function Legend({ store, zone }: { readonly store: FrameStore<ChartView>; readonly zone: Zone }) {
  const { shown } = useLive(store);
  if (shown === null) return <span className="legend" />;
  const direction = decimal.compare(decimal.of(shown.close), decimal.of(shown.open)) < 0 ? "down" : "up";
  const scale = decimal.of(shown.close).scale;
  const parts = [
    ["O", grouped(shown.open)],
    ["H", grouped(shown.high)],
    ["L", grouped(shown.low)],
    ["C", grouped(shown.close)],
    ["V", compact(shown.volume)],
    ["VWAP", shown.vwap === null ? NOTHING : rounded(shown.vwap, scale)],
    ["Trades", count(shown.trades)],
  ] as const;
  return (
    <dl className={`legend ${direction}`} aria-label="Values of the candle">
      <div className="legend-time">
        <dt className="visually-hidden">Begins</dt>
        <dd>{startText(shown, zone)}</dd>
      </div>
      {parts.map(([label, text]) => (
        <div key={label} className={`legend-${label.toLowerCase()}`}>
          <dt>{label}</dt>
          <dd>{text}</dd>
        </div>
      ))}
      {shown.revision > 0 && shown.is_final && (
        <div title="Changed by late or corrected trades">
          <dt>Rev.</dt>
          <dd>{shown.revision}</dd>
        </div>
      )}
    </dl>
  );
}

function startText({ interval, start }: Bar, zone: Zone): string {
  const text = moment(wallText(start, zone), LONG_AGO);
  return widthOf(interval) < 60_000 ? text : text.slice(0, -3);
}

function ChartNotice({ store }: { readonly store: FrameStore<ChartView> }) {
  const { loading, isEmpty, isLoadingOlder, olderFailure } = useLive(store);
  if (isEmpty && loading.phase === "failed") return <Notice tone="bad">{loading.message}</Notice>;
  if (isEmpty) return <Notice>{loading.phase === "loading" ? "Loading candles…" : "No trades yet: candles appear with the first."}</Notice>;
  if (olderFailure !== null) return <p className="chart-note text-down" role="alert">{olderFailure}</p>;
  return isLoadingOlder ? <p className="chart-note" role="status">Loading older candles…</p> : null;
}

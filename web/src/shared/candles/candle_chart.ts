/** Candles, volume and VWAP on a canvas, drawn once per frame. */

import type { Agio, Bar, Instrument } from "agio-sdk";
import type {
  CandlestickData,
  HistogramData,
  IChartApi,
  ISeriesApi,
  LineData,
  LogicalRange,
  MouseEventParams,
  UTCTimestamp,
} from "lightweight-charts";
import type { BarChannels } from "@/shared/live/bar_channels.ts";
import { FrameStore } from "@/shared/live/frame_store.ts";
import type { Loading } from "@/shared/live/loading.ts";
import { zoneName, type Zone } from "@/shared/zone.ts";
import { BarSeries } from "./bar_series.ts";
import { addCandles, addVolumes, addVwap, makeChart, readColours, type Colours } from "./canvas.ts";

export const RIGHT_MARGIN_BARS = 4;
const LOAD_BEFORE_BARS = 20;
const FEWEST_SHOWN_BARS = 45;
const FIRST_SHOWN_BARS = 120;

export interface ChartChoice {
  readonly instrument: Instrument;
  readonly interval: string;
  readonly zone: Zone;
  readonly hasVwap: boolean;
}

export interface ChartView {
  readonly loading: Loading;
  readonly isEmpty: boolean;
  /** The bar under the crosshair, else the newest. */
  readonly shown: Bar | null;
  readonly isPointed: boolean;
  readonly isLoadingOlder: boolean;
  readonly olderFailure: string | null;
  readonly isWhole: boolean;
  readonly count: number;
  /** First and last candle on the screen, as RFC 3339 text. */
  readonly visible: { readonly start: string; readonly end: string } | null;
  /** The newest candle is on the screen. */
  readonly isAtNewest: boolean;
}

export class CandleChart {
  readonly store: FrameStore<ChartView>;
  readonly series: BarSeries;
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private readonly vwaps: ISeriesApi<"Line"> | null;
  private readonly colours: Colours;
  private readonly changed = new Set<number>();
  private times: number[] = [];
  private isAllChanged = false;
  private isShownOnce = false;
  private pointed: number | null = null;
  private isClosed = false;

  constructor(box: HTMLElement, agio: Agio, channels: BarChannels, choice: ChartChoice) {
    const { instrument, interval, zone } = choice;
    this.colours = readColours(box);
    this.chart = makeChart(box, this.colours, zone, interval);
    this.candles = addCandles(this.chart, this.colours, instrument);
    this.volumes = addVolumes(this.chart);
    this.vwaps = choice.hasVwap ? addVwap(this.chart, this.colours) : null;
    this.chart.subscribeCrosshairMove(this.point);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(this.ranged);
    const wanted = { symbol: instrument.symbol, interval, zoneName: zoneName(zone) };
    this.series = new BarSeries(agio, channels, wanted, (change) => {
      if (change === "all") this.isAllChanged = true;
      else for (const time of change) this.changed.add(time);
      // The first change may come while the series is being made.
      queueMicrotask(() => this.store.touch());
    });
    this.store = new FrameStore(() => this.build());
  }

  close(): void {
    this.isClosed = true;
    this.series.close();
    this.chart.remove();
  }

  showNewest(): void {
    const count = this.times.length;
    const shown = Math.min(Math.max(count, FEWEST_SHOWN_BARS), FIRST_SHOWN_BARS);
    this.chart.timeScale().setVisibleLogicalRange({ from: count - shown, to: count + RIGHT_MARGIN_BARS });
  }

  /** Move by candles into the past (negative) or back. */
  scroll(bars: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (range === null) return;
    this.chart.timeScale().setVisibleLogicalRange({ from: range.from + bars, to: range.to + bars });
  }

  /** Show more (above 1) or fewer candles; the newest of them stays where it is. */
  zoom(factor: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (range === null) return;
    const width = Math.max(8, (range.to - range.from) * factor);
    this.chart.timeScale().setVisibleLogicalRange({ from: range.to - width, to: range.to });
  }

  /** Runs once per frame. */
  private build(): ChartView {
    if (!this.isClosed) this.draw();
    const { bars, loading, isLoadingOlder, olderFailure, isWhole } = this.series;
    const newest = this.times.at(-1);
    const pointed = this.pointed === null ? undefined : bars.get(this.pointed);
    const range = this.isClosed ? null : this.chart.timeScale().getVisibleLogicalRange();
    return {
      loading,
      isEmpty: bars.size === 0,
      shown: pointed ?? (newest === undefined ? null : (bars.get(newest) ?? null)),
      isPointed: pointed !== undefined,
      isLoadingOlder,
      olderFailure,
      isWhole,
      count: bars.size,
      visible: this.visibleIn(range),
      isAtNewest: range === null || range.to >= this.times.length - 1,
    };
  }

  private visibleIn(range: LogicalRange | null): ChartView["visible"] {
    if (range === null || this.times.length === 0) return null;
    const at = (place: number) => this.times[Math.min(Math.max(place, 0), this.times.length - 1)] as number;
    return { start: instantOf(at(Math.ceil(range.from))), end: instantOf(at(Math.floor(range.to))) };
  }

  private draw(): void {
    const newest = this.times.at(-1) ?? Number.NEGATIVE_INFINITY;
    const changed = [...this.changed].sort((left, right) => left - right);
    this.changed.clear();
    if (this.isAllChanged || (changed[0] ?? newest) < newest) {
      this.drawAll();
      return;
    }
    for (const time of changed) {
      const bar = this.series.bars.get(time) as Bar;
      this.candles.update(candleOf(time, bar));
      this.volumes.update(this.volumeOf(time, bar));
      const vwap = vwapOf(time, bar);
      if (vwap !== null) this.vwaps?.update(vwap);
      if (time !== this.times.at(-1)) this.times.push(time);
    }
  }

  private drawAll(): void {
    this.isAllChanged = false;
    const { bars } = this.series;
    this.times = [...bars.keys()].sort((left, right) => left - right);
    const ordered = this.times.map((time) => [time, bars.get(time) as Bar] as const);
    this.candles.setData(ordered.map(([time, bar]) => candleOf(time, bar)));
    this.volumes.setData(ordered.map(([time, bar]) => this.volumeOf(time, bar)));
    this.vwaps?.setData(ordered.flatMap(([time, bar]) => vwapOf(time, bar) ?? []));
    if (!this.isShownOnce && this.series.loading.phase === "ready") {
      this.isShownOnce = true;
      this.showNewest();
    }
  }

  private volumeOf(time: number, bar: Bar): HistogramData {
    const isDown = Number(bar.close) < Number(bar.open);
    const color = isDown ? this.colours.downSoft : this.colours.upSoft;
    return { time: axisTime(time), value: Number(bar.volume), color };
  }

  private readonly point = (event: MouseEventParams): void => {
    this.pointed = typeof event.time === "number" ? event.time * 1000 : null;
    this.store.touch();
  };

  private readonly ranged = (range: LogicalRange | null): void => {
    if (range === null || this.isClosed) return;
    this.store.touch();
    if (this.isShownOnce && range.from < LOAD_BEFORE_BARS) void this.series.loadOlder();
  };
}

function axisTime(time: number): UTCTimestamp {
  return Math.floor(time / 1000) as UTCTimestamp;
}

function instantOf(time: number): string {
  return new Date(time).toISOString();
}

function candleOf(time: number, bar: Bar): CandlestickData {
  return {
    time: axisTime(time),
    open: Number(bar.open),
    high: Number(bar.high),
    low: Number(bar.low),
    close: Number(bar.close),
  };
}

function vwapOf(time: number, bar: Bar): LineData | null {
  return bar.vwap === null ? null : { time: axisTime(time), value: Number(bar.vwap) };
}

/** Candles and volume on a canvas: history from REST, the newest bars from the stream, once per frame. */

import type { Agio, Bar, Instrument, Interval } from "agio-sdk";
import {
  CandlestickSeries,
  ColorType,
  createChart,
  CrosshairMode,
  HistogramSeries,
  type CandlestickData,
  type HistogramData,
  type IChartApi,
  type ISeriesApi,
  type LogicalRange,
  type MouseEventParams,
  type UTCTimestamp,
} from "lightweight-charts";
import type { BarChannels } from "@/shared/live/bar_channels.ts";
import { FrameStore } from "@/shared/live/frame_store.ts";
import { failedWith, LOADING, READY, type Loading } from "@/shared/live/loading.ts";

const PAGE = 500;
const RIGHT_MARGIN_BARS = 4;
const LOAD_BEFORE_BARS = 20;
const FEWEST_SHOWN_BARS = 45;
const FIRST_SHOWN_BARS = 120;

export interface ChartView {
  readonly loading: Loading;
  readonly isEmpty: boolean;
  /** The bar under the crosshair, else the newest. */
  readonly shown: Bar | null;
}

export class CandleChart {
  readonly store: FrameStore<ChartView>;
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volumes: ISeriesApi<"Histogram">;
  private readonly stopListening: () => void;
  private readonly bars = new Map<number, Bar>();
  private readonly changed = new Set<number>();
  private newest = 0;
  private pointed: Bar | null = null;
  private loading: Loading = LOADING;
  private isLoadingOlder = false;
  private isWhole = false;
  private isClosed = false;
  private readonly colours: Colours;

  constructor(
    box: HTMLElement,
    private readonly agio: Agio,
    channels: BarChannels,
    private readonly instrument: Instrument,
    private readonly interval: Interval,
  ) {
    this.colours = readColours(box);
    this.chart = makeChart(box, this.colours);
    this.candles = this.chart.addSeries(CandlestickSeries, {
      upColor: this.colours.up,
      downColor: this.colours.down,
      wickUpColor: this.colours.up,
      wickDownColor: this.colours.down,
      borderVisible: false,
      priceFormat: {
        type: "price",
        precision: instrument.price_scale,
        minMove: Number(instrument.tick_size),
      },
    });
    this.volumes = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.volumes.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.chart.subscribeCrosshairMove(this.point);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(this.ranged);
    this.store = new FrameStore(() => this.build());
    this.stopListening = channels.listen(instrument.symbol, interval, {
      onBar: (bar) => this.take(bar),
      onConfirmed: () => void this.load(),
    });
  }

  close(): void {
    this.isClosed = true;
    this.stopListening();
    this.chart.remove();
  }

  private take(bar: Bar): void {
    const time = secondsOf(bar.start);
    const known = this.bars.get(time);
    if (known !== undefined && known.revision > bar.revision) return;
    this.bars.set(time, bar);
    this.changed.add(time);
    this.store.touch();
  }

  private async load(): Promise<void> {
    try {
      const page = await this.agio.bars(this.instrument.symbol, this.interval, { limit: PAGE });
      if (this.isClosed) return;
      const isFirst = this.loading.phase !== "ready";
      for (const bar of page.items) this.bars.set(secondsOf(bar.start), bar);
      this.loading = READY;
      this.drawAll();
      if (isFirst) this.showNewest();
    } catch (error) {
      this.loading = failedWith(error);
    }
    this.store.touch();
  }

  private async loadOlder(): Promise<void> {
    const oldest = Math.min(...this.bars.keys());
    const first = this.bars.get(oldest);
    if (first === undefined) return;
    this.isLoadingOlder = true;
    try {
      const query = { end: first.start, limit: PAGE };
      const page = await this.agio.bars(this.instrument.symbol, this.interval, query);
      if (this.isClosed) return;
      const older = page.items.filter((bar) => secondsOf(bar.start) < oldest);
      this.isWhole = older.length === 0;
      for (const bar of older) this.bars.set(secondsOf(bar.start), bar);
      if (!this.isWhole) this.drawAll();
    } catch {
      // The next movement of the chart asks again.
    } finally {
      this.isLoadingOlder = false;
    }
  }

  /** Runs once per frame. */
  private build(): ChartView {
    if (!this.isClosed) this.drawChanges();
    const shown = this.pointed ?? this.bars.get(this.newest) ?? null;
    return { loading: this.loading, isEmpty: this.bars.size === 0, shown };
  }

  private drawChanges(): void {
    if (this.changed.size === 0) return;
    const times = [...this.changed].sort((left, right) => left - right);
    this.changed.clear();
    if (this.newest === 0 || (times[0] as number) < this.newest) {
      this.drawAll();
      return;
    }
    for (const time of times) {
      const bar = this.bars.get(time) as Bar;
      this.candles.update(candleOf(time, bar));
      this.volumes.update(this.volumeOf(time, bar));
      this.newest = time;
    }
  }

  private drawAll(): void {
    const times = [...this.bars.keys()].sort((left, right) => left - right);
    this.changed.clear();
    this.newest = times.at(-1) ?? 0;
    this.candles.setData(times.map((time) => candleOf(time, this.bars.get(time) as Bar)));
    this.volumes.setData(times.map((time) => this.volumeOf(time, this.bars.get(time) as Bar)));
  }

  private showNewest(): void {
    const count = this.bars.size;
    const shown = Math.min(Math.max(count, FEWEST_SHOWN_BARS), FIRST_SHOWN_BARS);
    this.chart.timeScale().setVisibleLogicalRange({ from: count - shown, to: count + RIGHT_MARGIN_BARS });
  }

  private volumeOf(time: number, bar: Bar): HistogramData {
    const isDown = Number(bar.close) < Number(bar.open);
    return {
      time: time as UTCTimestamp,
      value: Number(bar.volume),
      color: isDown ? this.colours.downSoft : this.colours.upSoft,
    };
  }

  private readonly point = (event: MouseEventParams): void => {
    this.pointed = typeof event.time === "number" ? (this.bars.get(event.time) ?? null) : null;
    this.store.touch();
  };

  private readonly ranged = (range: LogicalRange | null): void => {
    if (range === null || range.from > LOAD_BEFORE_BARS || this.bars.size < PAGE) return;
    if (!this.isLoadingOlder && !this.isWhole) void this.loadOlder();
  };
}

interface Colours {
  readonly text: string;
  readonly line: string;
  readonly faint: string;
  readonly up: string;
  readonly down: string;
  readonly upSoft: string;
  readonly downSoft: string;
  readonly font: string;
}

/** The design tokens, for a canvas that no style sheet reaches. */
function readColours(box: HTMLElement): Colours {
  const style = getComputedStyle(box);
  const token = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: token("--text-muted"),
    line: token("--line"),
    faint: token("--grid"),
    up: token("--up"),
    down: token("--down"),
    upSoft: token("--up-soft"),
    downSoft: token("--down-soft"),
    font: style.fontFamily,
  };
}

function makeChart(box: HTMLElement, colours: Colours): IChartApi {
  return createChart(box, {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: "transparent" },
      textColor: colours.text,
      fontFamily: colours.font,
      fontSize: 11,
      // The link below the chart is the attribution: the library's own logo needs inline styles.
      attributionLogo: false,
    },
    grid: { vertLines: { color: colours.faint }, horzLines: { color: colours.faint } },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { borderColor: colours.line, scaleMargins: { top: 0.08, bottom: 0.2 } },
    timeScale: { borderColor: colours.line, timeVisible: true, secondsVisible: true, rightOffset: RIGHT_MARGIN_BARS },
    localization: { locale: "en-GB" },
  });
}

function secondsOf(start: string): number {
  return Math.floor(Date.parse(start) / 1000);
}

function candleOf(time: number, bar: Bar): CandlestickData {
  return {
    time: time as UTCTimestamp,
    open: Number(bar.open),
    high: Number(bar.high),
    low: Number(bar.low),
    close: Number(bar.close),
  };
}

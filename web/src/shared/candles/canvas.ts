/** The chart library as the house uses it: our colours, our words for times. */

import type { Instrument } from "agio-sdk";
import {
  CandlestickSeries,
  ColorType,
  createChart,
  CrosshairMode,
  HistogramSeries,
  LineSeries,
  LineStyle,
  TickMarkType,
  type IChartApi,
  type ISeriesApi,
  type Time,
} from "lightweight-charts";
import { clock, day, grouped, moment, monthOf } from "@/shared/format.ts";
import { wallText, widthOf, type Zone } from "@/shared/zone.ts";

const RIGHT_MARGIN_BARS = 4;
const MINUTE = 60_000;
const LONG_AGO = new Date(0);

export interface Colours {
  readonly text: string;
  readonly line: string;
  readonly faint: string;
  readonly up: string;
  readonly down: string;
  readonly upSoft: string;
  readonly downSoft: string;
  readonly vwap: string;
  readonly font: string;
}

/** The design tokens, for a canvas that no style sheet reaches. */
export function readColours(box: HTMLElement): Colours {
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
    vwap: token("--warn"),
    font: style.fontFamily,
  };
}

export function makeChart(box: HTMLElement, colours: Colours, zone: Zone, interval: string): IChartApi {
  const width = widthOf(interval);
  return createChart(box, {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: "transparent" },
      textColor: colours.text,
      fontFamily: colours.font,
      fontSize: 11,
      // The link above the chart is the attribution: the library's own logo needs inline styles.
      attributionLogo: false,
    },
    grid: { vertLines: { color: colours.faint }, horzLines: { color: colours.faint } },
    crosshair: { mode: CrosshairMode.Normal },
    rightPriceScale: { borderColor: colours.line, scaleMargins: { top: 0.08, bottom: 0.2 } },
    timeScale: {
      borderColor: colours.line,
      timeVisible: true,
      secondsVisible: width < MINUTE,
      rightOffset: RIGHT_MARGIN_BARS,
      tickMarkFormatter: (time: Time, kind: TickMarkType) => tickText(time, kind, zone),
    },
    localization: { locale: "en-GB", timeFormatter: (time: Time) => crosshairText(time, zone, width) },
  });
}

export function addCandles(chart: IChartApi, colours: Colours, instrument: Instrument): ISeriesApi<"Candlestick"> {
  return chart.addSeries(CandlestickSeries, {
    upColor: colours.up,
    downColor: colours.down,
    wickUpColor: colours.up,
    wickDownColor: colours.down,
    borderVisible: false,
    priceFormat: {
      type: "custom",
      minMove: Number(instrument.tick_size),
      formatter: (price: number) => grouped(price.toFixed(instrument.price_scale)),
    },
  });
}

export function addVolumes(chart: IChartApi): ISeriesApi<"Histogram"> {
  const volumes = chart.addSeries(HistogramSeries, {
    priceScaleId: "",
    priceFormat: { type: "volume" },
    lastValueVisible: false,
    priceLineVisible: false,
  });
  volumes.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
  return volumes;
}

export function addVwap(chart: IChartApi, colours: Colours): ISeriesApi<"Line"> {
  return chart.addSeries(LineSeries, {
    color: colours.vwap,
    lineWidth: 1,
    lineStyle: LineStyle.Solid,
    lastValueVisible: false,
    priceLineVisible: false,
    crosshairMarkerVisible: false,
  });
}

function instantOf(time: Time): string {
  return typeof time === "number" ? new Date(time * 1000).toISOString() : String(time);
}

function tickText(time: Time, kind: TickMarkType, zone: Zone): string {
  const text = wallText(instantOf(time), zone);
  if (kind === TickMarkType.Year) return text.slice(0, 4);
  if (kind === TickMarkType.Month) return monthOf(text);
  if (kind === TickMarkType.DayOfMonth) return day(text);
  return kind === TickMarkType.Time ? text.slice(11, 16) : clock(text);
}

function crosshairText(time: Time, zone: Zone, width: number): string {
  const text = wallText(instantOf(time), zone);
  if (width >= 24 * 60 * MINUTE) return day(text, true);
  const whole = moment(text, LONG_AGO);
  return width < MINUTE ? whole : whole.slice(0, -3);
}

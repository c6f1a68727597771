/** The list of instruments: last price, the session's figures and a sparkline, from one-minute bars. */

import { decimal, type Agio, type Bar, type Instrument } from "agio-sdk";
import type { BarChannels } from "./bar_channels.ts";
import { FrameStore } from "./frame_store.ts";
import { failedWith, LOADING, READY, type Loading } from "./loading.ts";

const SPARK_BARS = 60;
const PAGE = 1000;
const INSTRUMENTS_EVERY_MS = 15_000;

export interface Ticker {
  readonly instrument: Instrument;
  readonly last: string | null;
  /** Of the newest change of price. */
  readonly direction: "up" | "down" | null;
  /** How often the price has changed: a new number restarts the flash. */
  readonly ticks: number;
  readonly open: string | null;
  readonly high: string | null;
  readonly low: string | null;
  readonly volume: string | null;
  readonly change: string | null;
  readonly changePercent: string | null;
  /** Closing prices for drawing, oldest first. */
  readonly spark: readonly number[];
}

export interface TickerList {
  readonly loading: Loading;
  readonly instruments: readonly Instrument[];
}

/** Follows every instrument; those that appear later, such as a tape's, are found by polling. */
export class TickerFeed {
  readonly list: FrameStore<TickerList>;
  private readonly tapes = new Map<string, SymbolTicker>();
  private loading: Loading = LOADING;
  private instruments: readonly Instrument[] = [];
  private readonly timer: ReturnType<typeof setInterval>;
  private isClosed = false;

  constructor(
    private readonly agio: Agio,
    private readonly channels: BarChannels,
  ) {
    this.list = new FrameStore(() => ({ loading: this.loading, instruments: this.instruments }));
    void this.refresh();
    this.timer = setInterval(() => void this.refresh(), INSTRUMENTS_EVERY_MS);
  }

  /** The store of one listed instrument. */
  ticker(symbol: string): FrameStore<Ticker> {
    const found = this.tapes.get(symbol);
    if (found === undefined) throw new RangeError(`${symbol} is not listed`);
    return found.store;
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.timer);
    for (const tape of this.tapes.values()) tape.close();
  }

  readonly refresh = async (): Promise<void> => {
    try {
      const found = await this.agio.instruments();
      if (this.isClosed) return;
      for (const instrument of found) this.follow(instrument);
      if (found.length !== this.instruments.length || this.loading.phase !== "ready") {
        this.instruments = found;
        this.loading = READY;
        this.list.touch();
      }
    } catch (error) {
      if (this.instruments.length === 0) {
        this.loading = failedWith(error);
        this.list.touch();
      }
    }
  };

  private follow(instrument: Instrument): void {
    if (!this.tapes.has(instrument.symbol)) {
      this.tapes.set(instrument.symbol, new SymbolTicker(this.agio, this.channels, instrument));
    }
  }
}

class SymbolTicker {
  readonly store: FrameStore<Ticker>;
  readonly close: () => void;
  private readonly session = new SessionBars();
  private direction: "up" | "down" | null = null;
  private ticks = 0;

  constructor(
    private readonly agio: Agio,
    channels: BarChannels,
    private readonly instrument: Instrument,
  ) {
    this.store = new FrameStore(() => this.build());
    this.close = channels.listen(instrument.symbol, "1m", {
      onBar: (bar) => this.take(bar),
      onConfirmed: () => void this.load(),
    });
  }

  /** Read the session so far; again after each reconnection, so that nothing is missing in between. */
  private async load(): Promise<void> {
    const symbol = this.instrument.symbol;
    try {
      const newest = await this.agio.bars(symbol, "1m", { limit: SPARK_BARS });
      const latest = newest.items.at(-1);
      if (latest === undefined) return;
      const start = `${latest.start.slice(0, 10)}T00:00:00Z`;
      const today = await this.agio.collect<Bar>((cursor) =>
        this.agio.bars(symbol, "1m", { start, limit: PAGE, ...(cursor === null ? {} : { cursor }) }),
      );
      for (const bar of [...newest.items, ...today]) this.session.take(bar);
      this.store.touch();
    } catch {
      // The live channel goes on; the figures of the session stay empty until the next reconnection.
    }
  }

  private take(bar: Bar): void {
    const before = this.session.last;
    this.session.take(bar);
    const after = this.session.last;
    if (before !== null && after !== null && before !== after) {
      this.direction = decimal.compare(decimal.of(after), decimal.of(before)) < 0 ? "down" : "up";
      this.ticks += 1;
    }
    this.store.touch();
  }

  private build(): Ticker {
    const { last, open } = this.session;
    const change = last !== null && open !== null ? decimal.subtract(decimal.of(last), decimal.of(open)) : null;
    const ratio = change !== null && open !== null ? decimal.divide(change, decimal.of(open), 8) : null;
    return {
      instrument: this.instrument,
      last,
      direction: this.direction,
      ticks: this.ticks,
      open,
      high: this.session.high,
      low: this.session.low,
      volume: this.session.volume,
      change: change === null ? null : decimal.format(change),
      changePercent: ratio === null ? null : percentText(ratio),
      spark: this.session.spark,
    };
  }
}

function percentText(ratio: decimal.Decimal): string {
  return decimal.format(decimal.rescale({ units: ratio.units, scale: ratio.scale - 2 }, 2));
}

/** The bars of one UTC day of venue time, and the newest closes for the sparkline. */
export class SessionBars {
  private day = "";
  private readonly bars = new Map<string, Bar>();
  private readonly closes = new Map<string, string>();
  private newest: Bar | null = null;
  private total: decimal.Decimal = decimal.ZERO;
  private highest: string | null = null;
  private lowest: string | null = null;
  private first: Bar | null = null;

  get last(): string | null {
    return this.newest?.close ?? null;
  }

  get open(): string | null {
    return this.first?.open ?? null;
  }

  get high(): string | null {
    return this.highest;
  }

  get low(): string | null {
    return this.lowest;
  }

  get volume(): string | null {
    return this.newest === null ? null : decimal.format(this.total);
  }

  get spark(): number[] {
    const starts = [...this.closes.keys()].sort().slice(-SPARK_BARS);
    return starts.map((start) => Number(this.closes.get(start)));
  }

  /** Take a bar in any order; an older revision of a known bar is ignored. */
  take(bar: Bar): void {
    const day = bar.start.slice(0, 10);
    this.remember(bar);
    if (day < this.day) return;
    if (day > this.day) this.begin(day);
    const known = this.bars.get(bar.start);
    if (known !== undefined && known.revision > bar.revision) return;
    if (known !== undefined) this.total = decimal.subtract(this.total, decimal.of(known.volume));
    this.total = decimal.add(this.total, decimal.of(bar.volume));
    this.bars.set(bar.start, bar);
    if (this.newest === null || bar.start >= this.newest.start) this.newest = bar;
    if (this.first === null || bar.start <= this.first.start) this.first = bar;
    if (this.highest === null || isAbove(bar.high, this.highest)) this.highest = bar.high;
    if (this.lowest === null || isAbove(this.lowest, bar.low)) this.lowest = bar.low;
  }

  private begin(day: string): void {
    this.day = day;
    this.bars.clear();
    this.newest = this.first = this.highest = this.lowest = null;
    this.total = decimal.ZERO;
  }

  private remember(bar: Bar): void {
    this.closes.set(bar.start, bar.close);
    if (this.closes.size > SPARK_BARS * 4) {
      for (const start of [...this.closes.keys()].sort().slice(0, -SPARK_BARS)) this.closes.delete(start);
    }
  }
}

function isAbove(left: string, right: string): boolean {
  return decimal.compare(decimal.of(left), decimal.of(right)) > 0;
}

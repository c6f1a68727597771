/** The candles of one chart: history from REST, page by page into the past, and the newest from the stream. */

import type { Agio, Bar, Page } from "agio-sdk";
import type { BarChannels } from "@/shared/live/bar_channels.ts";
import { explain, failedWith, LOADING, READY, type Loading } from "@/shared/live/loading.ts";
import { floorTo, widthOf } from "@/shared/zone.ts";
import { Folding, streamedInterval } from "./fold.ts";

export const PAGE = 500;
const LARGEST_PAGE = 1000;
const KEPT_PARTS = 3;
const RETRY_MS = 5_000;
const DAY_MS = 86_400_000;

export interface SeriesChoice {
  readonly symbol: string;
  readonly interval: string;
  /** IANA name: bars longer than an hour begin at its wall clock. */
  readonly zoneName: string;
}

/** The newest candle in parts: whole days if it is longer than a day, then as the stream has them. */
interface Parts {
  readonly days: readonly Bar[];
  /** Where the whole days end. */
  readonly end: number;
  readonly streamed: readonly Bar[];
}

/** What is new: single candles, or all of them. */
export type SeriesChange = readonly number[] | "all";

export class BarSeries {
  /** By beginning, in milliseconds. */
  readonly bars = new Map<number, Bar>();
  loading: Loading = LOADING;
  olderFailure: string | null = null;
  isLoadingOlder = false;
  /** Nothing is older than what we have. */
  isWhole = false;
  private readonly folding: Folding | null;
  private readonly stopListening: () => void;
  private isClosed = false;
  private reads = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly agio: Pick<Agio, "get">,
    channels: Pick<BarChannels, "listen">,
    readonly choice: SeriesChoice,
    private readonly onChange: (change: SeriesChange) => void,
  ) {
    const { symbol, interval, zoneName } = choice;
    const streamed = streamedInterval(interval);
    this.folding = streamed === interval ? null : new Folding(interval, zoneName);
    this.stopListening = channels.listen(symbol, streamed, {
      onBar: (bar) => this.take(bar),
      onConfirmed: () => void this.load(),
    });
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retry);
    this.stopListening();
  }

  /** Read the newest page again, until it is there; what is shown stays so long. */
  async load(): Promise<void> {
    clearTimeout(this.retry);
    this.retry = undefined;
    this.reads += 1;
    const turn = this.reads;
    try {
      const page = await this.read({ limit: PAGE });
      const parts = await this.readParts(page.items.at(-1));
      if (this.isClosed || turn !== this.reads) return;
      this.loading = READY;
      this.bridge(page.items[0]);
      for (const bar of page.items) this.keep(bar);
      if (page.items.length === 0) this.isWhole = true;
      this.foldFrom(page.items.at(-1), parts);
      this.onChange("all");
    } catch (error) {
      if (this.isClosed || turn !== this.reads) return;
      if (this.bars.size === 0) this.loading = failedWith(error);
      this.loadSoon();
      this.onChange([]);
    }
  }

  private loadSoon(): void {
    this.retry ??= setTimeout(() => void this.load(), RETRY_MS);
  }

  /** Read the page before the oldest candle. */
  async loadOlder(): Promise<void> {
    if (this.isLoadingOlder || this.isWhole || this.bars.size === 0) return;
    const oldest = Math.min(...this.bars.keys());
    this.isLoadingOlder = true;
    this.onChange([]);
    try {
      const page = await this.read({ end: new Date(oldest).toISOString(), limit: PAGE });
      if (this.isClosed) return;
      const older = page.items.filter((bar) => Date.parse(bar.start) < oldest);
      for (const bar of older) this.keep(bar);
      this.isWhole = older.length === 0;
      this.olderFailure = null;
      this.isLoadingOlder = false;
      this.onChange("all");
    } catch (error) {
      this.olderFailure = explain(error);
      this.isLoadingOlder = false;
      if (!this.isClosed) this.onChange([]);
    }
  }

  /** After a long absence the newest page does not reach what we have: that goes, rather than leave a hole. */
  private bridge(first: Bar | undefined): void {
    if (first === undefined || this.bars.size === 0) return;
    if (Date.parse(first.start) > Math.max(...this.bars.keys())) {
      this.bars.clear();
      this.isWhole = false;
    }
  }

  private take(bar: Bar): void {
    if (this.folding === null) {
      const start = this.keep(bar);
      if (start !== null) this.onChange([start]);
      return;
    }
    if (Date.parse(bar.start) < this.folding.wholeUntil) {
      this.loadSoon();
      return;
    }
    const start = this.folding.take(bar);
    if (this.show(start)) this.onChange([start]);
    this.folding.trim(KEPT_PARTS);
  }

  private keep(bar: Bar): number | null {
    const start = Date.parse(bar.start);
    const known = this.bars.get(start);
    if (known !== undefined && known.revision > bar.revision) return null;
    this.bars.set(start, bar);
    return start;
  }

  private show(start: number): boolean {
    const candle = this.folding?.candle(start) ?? null;
    if (candle !== null) this.bars.set(start, candle);
    return candle !== null;
  }

  /** The stream's own candles within the newest one, so that it can go on from there. */
  private async readParts(newest: Bar | undefined): Promise<Parts> {
    if (this.folding === null || newest === undefined) return { days: [], end: 0, streamed: [] };
    const { interval } = this.choice;
    const days = widthOf(interval) > DAY_MS ? await this.readFrom(newest.start, "1d") : [];
    // The newest day goes on: its own parts are read.
    const start = days.pop()?.start ?? newest.start;
    return { days, end: Date.parse(start), streamed: await this.readFrom(start, streamedInterval(interval)) };
  }

  private async readFrom(start: string, interval: string): Promise<Bar[]> {
    const { symbol, zoneName } = this.choice;
    const bars: Bar[] = [];
    let cursor: string | null = null;
    do {
      const query = { interval, time_zone: zoneName, start, limit: LARGEST_PAGE, cursor };
      const page: Page<Bar> = await this.agio.get(`/api/market/${symbol}/bars`, query);
      bars.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && !this.isClosed);
    return bars;
  }

  private foldFrom(newest: Bar | undefined, { days, end, streamed }: Parts): void {
    const { folding } = this;
    if (folding === null) return;
    if (days.length > 0) folding.takeDays(days, end);
    for (const part of streamed) folding.take(part);
    const first = newest === undefined ? folding.starts()[0] : Date.parse(newest.start);
    if (first === undefined) return;
    const { interval, zoneName } = this.choice;
    folding.startFrom(floorTo(first, interval, zoneName));
    for (const start of folding.starts()) this.show(start);
  }

  private read(query: { limit: number; end?: string }): Promise<Page<Bar>> {
    const { symbol, interval, zoneName } = this.choice;
    return this.agio.get(`/api/market/${symbol}/bars`, { interval, time_zone: zoneName, ...query });
  }
}

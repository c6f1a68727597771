/** Time and sales of the selected instrument: the newest trades, from REST and then from the stream. */

import type { Agio, decimal, Stream, Subscription, Trade } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";
import { TapeLog, type TapeEntry } from "./tape_log.ts";

const KEPT = 120;
const LARGEST_PAGE = 1000;

export interface TapeView {
  readonly phase: "loading" | "ready";
  /** Oldest first. */
  readonly entries: readonly TapeEntry[];
  /** How many are kept of any size. */
  readonly kept: number;
  /** How many came by the stream, and the newest sequence. */
  readonly received: number;
  readonly sequence: number | null;
  readonly refusal: string | null;
  readonly heard: Heard | null;
}

/** The newest message: when the platform had it, in milliseconds since 1970, and how far behind the venue's clock. */
export interface Heard {
  readonly at: number;
  readonly behindVenueMs: number;
}

export class TradesFeed {
  readonly store: FrameStore<TapeView>;
  private readonly subscription: Subscription<Trade>;
  private readonly log: TapeLog;
  /** What the stream told while the history was being read. */
  private waiting: Trade[] = [];
  private phase: TapeView["phase"] = "loading";
  private received = 0;
  private heard: Heard | null = null;
  private refusal: string | null = null;
  private isClosed = false;

  constructor(
    private readonly agio: Agio,
    stream: Stream,
    private readonly symbol: string,
    private readonly kept = KEPT,
  ) {
    this.log = new TapeLog(this.kept);
    this.store = new FrameStore(() => this.build());
    this.subscription = stream.subscribe<Trade>(`trades:${symbol}`, {
      onMessage: ({ q, t, data }) => {
        this.heard = { at: t / 1000, behindVenueMs: t / 1000 - Date.parse(data.venue_time) };
        this.take({ ...data, seq: q });
      },
      onConfirmed: () => void this.load(),
      onError: (error) => {
        this.refusal = error.message;
        this.phase = "ready";
        this.store.touch();
      },
    });
  }

  close(): void {
    this.isClosed = true;
    this.subscription.close();
  }

  /** Show only trades of at least this size. */
  showFrom(least: decimal.Decimal | null): void {
    this.log.showFrom(least);
    this.store.touch();
  }

  private take(trade: Trade): void {
    this.received += 1;
    if (this.phase === "loading") {
      this.waiting.push(trade);
      if (this.waiting.length > this.kept * 2) this.waiting = this.waiting.slice(-this.kept);
    } else {
      this.log.add(trade);
    }
    this.store.touch();
  }

  /** Fill the list with what was traded before we came. */
  private async load(): Promise<void> {
    if (this.phase === "ready") return;
    try {
      const limit = Math.min(this.kept, LARGEST_PAGE);
      const latest = await this.agio.latestTrade(this.symbol);
      const after_seq = Math.max(0, (latest.seq ?? 0) - limit);
      const page = await this.agio.marketTrades(this.symbol, { after_seq, limit });
      if (this.isClosed) return;
      for (const trade of page.items) this.log.add(trade);
    } catch {
      // Nothing was traded yet, or the history cannot be read: the live trades fill the list.
    }
    for (const trade of this.waiting) this.log.add(trade);
    this.waiting = [];
    this.phase = "ready";
    this.store.touch();
  }

  private build(): TapeView {
    return {
      phase: this.phase,
      entries: this.log.shown(),
      kept: this.log.length,
      received: this.received,
      sequence: this.log.last?.seq ?? null,
      refusal: this.refusal,
      heard: this.heard,
    };
  }
}

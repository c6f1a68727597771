/** Time and sales of the selected instrument: the newest trades, newest first. */

import { decimal, type Agio, type Stream, type Subscription, type Trade } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";

const KEPT = 120;

export interface TapeRow {
  readonly seq: number;
  readonly time: string;
  readonly price: string;
  readonly size: string;
  /** The aggressor's side where the venue tells it, else by the tick rule. */
  readonly direction: "up" | "down" | null;
}

export interface TapeView {
  readonly phase: "loading" | "ready";
  readonly rows: readonly TapeRow[];
}

export class TradesFeed {
  readonly store: FrameStore<TapeView>;
  private readonly subscription: Subscription<Trade>;
  private rows: TapeRow[] = [];
  private phase: TapeView["phase"] = "loading";
  private isClosed = false;

  constructor(
    private readonly agio: Agio,
    stream: Stream,
    private readonly symbol: string,
  ) {
    this.store = new FrameStore(() => ({ phase: this.phase, rows: this.rows.slice(-KEPT).reverse() }));
    this.subscription = stream.subscribe<Trade>(`trades:${symbol}`, {
      onMessage: ({ q, data }) => {
        this.add({ ...data, seq: q });
        this.store.touch();
      },
      onConfirmed: () => void this.load(),
    });
  }

  close(): void {
    this.isClosed = true;
    this.subscription.close();
  }

  /** Fill the list with what was traded before we came. */
  private async load(): Promise<void> {
    if (this.phase === "ready") return;
    try {
      const latest = await this.agio.latestTrade(this.symbol);
      const after_seq = Math.max(0, (latest.seq ?? 0) - KEPT);
      const page = await this.agio.marketTrades(this.symbol, { after_seq, limit: KEPT });
      if (this.isClosed) return;
      const live = this.rows;
      this.rows = [];
      for (const trade of page.items) this.add(trade);
      const last = this.rows.at(-1)?.seq ?? 0;
      this.rows.push(...live.filter((row) => row.seq > last));
    } catch {
      // Nothing was traded yet, or the history cannot be read: the live trades fill the list.
    }
    this.phase = "ready";
    this.store.touch();
  }

  private add(trade: Trade): void {
    const before = this.rows.at(-1);
    this.rows.push({
      seq: trade.seq ?? 0,
      time: trade.venue_time,
      price: trade.price,
      size: trade.size,
      direction: directionOf(trade, before),
    });
    if (this.rows.length > KEPT * 4) this.rows = this.rows.slice(-KEPT);
  }
}

function directionOf(trade: Trade, before: TapeRow | undefined): TapeRow["direction"] {
  if (trade.side !== null) return trade.side === "buy" ? "up" : "down";
  if (before === undefined) return null;
  const order = decimal.compare(decimal.of(trade.price), decimal.of(before.price));
  if (order === 0) return before.direction;
  return order > 0 ? "up" : "down";
}

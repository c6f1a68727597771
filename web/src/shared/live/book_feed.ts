/** The order book of the selected instrument, cut to what fits on the screen. */

import { decimal, type BookLevels, type Level, type Stream, type Subscription } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";

const SHOWN_LEVELS = 40;
const WAIT_FOR_SNAPSHOT_MS = 1_500;

export interface LadderRow extends Level {
  /** Size of this level and all better ones. */
  readonly total: string;
}

export interface BookView {
  /** `none`: the venue tells no book for this instrument, as on a replayed tape. */
  readonly phase: "loading" | "none" | "live" | "resyncing" | "refused";
  readonly bids: readonly LadderRow[];
  readonly asks: readonly LadderRow[];
  readonly refusal: string | null;
}

export class BookFeed {
  readonly store: FrameStore<BookView>;
  private readonly subscription: Subscription<BookLevels>;
  private phase: BookView["phase"] = "loading";
  private refusal: string | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(stream: Stream, symbol: string) {
    this.store = new FrameStore(() => this.build());
    this.subscription = stream.subscribe<BookLevels>(`book:${symbol}`, {
      tier: "100ms",
      depth: SHOWN_LEVELS,
      onMessage: () => {
        this.phase = "live";
        this.store.touch();
      },
      onConfirmed: () => this.waitForSnapshot(),
      onError: (error) => {
        this.phase = "refused";
        this.refusal = error.message;
        this.store.touch();
      },
    });
  }

  close(): void {
    clearTimeout(this.timer);
    this.subscription.close();
  }

  private waitForSnapshot(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.phase === "loading") this.phase = "none";
      this.store.touch();
    }, WAIT_FOR_SNAPSHOT_MS);
  }

  private build(): BookView {
    // The first build happens before the subscription exists.
    const book = this.phase === "live" ? this.subscription.book : null;
    const phase = book !== null && !book.isValid ? "resyncing" : this.phase;
    return {
      phase,
      bids: accumulate(book?.bids(SHOWN_LEVELS) ?? []),
      asks: accumulate(book?.asks(SHOWN_LEVELS) ?? []),
      refusal: this.refusal,
    };
  }
}

function accumulate(levels: readonly Level[]): LadderRow[] {
  let total = decimal.ZERO;
  return levels.map((level) => {
    total = decimal.add(total, decimal.of(level.size));
    return { ...level, total: decimal.format(total) };
  });
}

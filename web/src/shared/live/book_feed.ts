/** The order book of the selected instrument, cut to what fits on the screen. */

import { decimal, type BookLevels, type Gap, type Level, type Stream, type Subscription } from "agio-sdk";
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
  readonly checks: BookChecks;
}

/** The SDK computes the checksum of each message again; one that differs makes it read the book anew. */
export interface BookChecks {
  readonly verified: number;
  readonly failed: number;
  /** How often the book was read anew, for whatever reason. */
  readonly resyncs: number;
  readonly sequence: number | null;
  /** Of the newest message, in milliseconds since 1970 by the server's clock. */
  readonly at: number | null;
}

export class BookFeed {
  readonly store: FrameStore<BookView>;
  private readonly subscription: Subscription<BookLevels>;
  private phase: BookView["phase"] = "loading";
  private refusal: string | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private checks: BookChecks = { verified: 0, failed: 0, resyncs: 0, sequence: null, at: null };

  constructor(
    stream: Stream,
    symbol: string,
    private readonly levels = SHOWN_LEVELS,
  ) {
    this.store = new FrameStore(() => this.build());
    this.subscription = stream.subscribe<BookLevels>(`book:${symbol}`, {
      tier: "100ms",
      depth: this.levels,
      onMessage: ({ q, t }) => {
        this.phase = "live";
        this.checks = { ...this.checks, verified: this.checks.verified + 1, sequence: q, at: t / 1000 };
        this.store.touch();
      },
      onConfirmed: () => this.waitForSnapshot(),
      onGap: (gap) => this.missed(gap),
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

  private missed(gap: Gap): void {
    const failed = this.checks.failed + (gap.reason === "book_checksum" ? 1 : 0);
    this.checks = { ...this.checks, failed, resyncs: this.checks.resyncs + 1 };
    this.store.touch();
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
      bids: accumulate(book?.bids(this.levels) ?? []),
      asks: accumulate(book?.asks(this.levels) ?? []),
      refusal: this.refusal,
      checks: this.checks,
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

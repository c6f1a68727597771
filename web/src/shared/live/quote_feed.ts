/** Best bid and ask of the selected instrument. */

import type { Quote, Stream, Subscription } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";

export class QuoteFeed {
  readonly store: FrameStore<Quote | null>;
  private quote: Quote | null = null;
  private readonly subscription: Subscription<Quote>;

  constructor(stream: Stream, symbol: string, tier: "100ms" | "250ms" = "100ms") {
    this.store = new FrameStore(() => this.quote);
    this.subscription = stream.subscribe<Quote>(`quotes:${symbol}`, {
      tier,
      onMessage: ({ data }) => {
        this.quote = data;
        this.store.touch();
      },
    });
  }

  close(): void {
    this.subscription.close();
  }
}

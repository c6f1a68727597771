/** The state of the stream, the freshness of its sources, and the server's clock. */

import type { Agio, Replay, SourceState, Stream, StreamState } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";

const STATUS_EVERY_MS = 5_000;

export interface ConnectionView {
  readonly state: StreamState;
  readonly sources: readonly (readonly [string, SourceState])[];
  readonly replay: Replay | null;
  /** Milliseconds to add to this machine's clock to get the server's; null before its first word. */
  readonly clockOffsetMs: number | null;
  readonly heartbeatAt: number | null;
  /** Why the stream is closed for good. */
  readonly closedReason: string | null;
}

export class ConnectionFeed {
  readonly stream: Stream;
  readonly store: FrameStore<ConnectionView>;
  private view: ConnectionView = {
    state: "connecting",
    sources: [],
    replay: null,
    clockOffsetMs: null,
    heartbeatAt: null,
    closedReason: null,
  };
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly agio: Agio) {
    this.store = new FrameStore(() => this.view);
    this.stream = agio.stream({
      onState: (state) => this.change({ state }),
      onHeartbeat: ({ serverTime, sources }) => {
        const now = Date.now();
        this.change({ heartbeatAt: now, clockOffsetMs: Date.parse(serverTime) - now });
        if (Object.keys(sources).length > 0) this.change({ sources: Object.entries(sources).sort() });
      },
      onClosed: (error) => this.change({ closedReason: error.reason }),
    });
    void this.readStatus();
    this.timer = setInterval(() => void this.readStatus(), STATUS_EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.stream.close();
  }

  private async readStatus(): Promise<void> {
    if (document.hidden) return;
    try {
      const status = await this.agio.marketStatus();
      const sources = status.venues.map((one) => [one.venue, one.state] as const);
      this.change({ sources, replay: status.replay });
    } catch {
      // The stream's own state tells whether the server is there.
    }
  }

  private change(part: Partial<ConnectionView>): void {
    this.view = { ...this.view, ...part };
    this.store.touch();
  }
}

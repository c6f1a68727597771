/** The state of the stream, the freshness of its sources, and the server's clock. */

import type { Agio, Gap, Replay, SourceState, Stream, StreamState } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";

const STATUS_EVERY_MS = 5_000;
const KEPT_GAPS = 50;

/** A gap that the SDK announced, and when by this machine's clock. */
export type ToldGap = Gap & { readonly at: number };

/** `idle`: no page has subscribed to anything yet, so there is no connection. */
export type ConnectionState = StreamState | "idle";

export const STATE_WORDS: Readonly<Record<ConnectionState, string>> = {
  idle: "Idle",
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  resuming: "Resuming",
  closed: "Closed",
};

export interface ConnectionView {
  readonly state: ConnectionState;
  readonly sources: readonly (readonly [string, SourceState])[];
  readonly replay: Replay | null;
  /** Milliseconds to add to this machine's clock to get the server's; null before its first word. */
  readonly clockOffsetMs: number | null;
  readonly heartbeatAt: number | null;
  /** Why the stream is closed for good. */
  readonly closedReason: string | null;
  /** By this machine's clock. */
  readonly stateSince: number;
  /** How often the connection was lost since the page was opened. */
  readonly reconnects: number;
  /** The newest gaps that were announced, newest first, and how many there were. */
  readonly gaps: readonly ToldGap[];
  readonly gapCount: number;
}

export class ConnectionFeed {
  readonly stream: Stream;
  readonly store: FrameStore<ConnectionView>;
  private view: ConnectionView = {
    state: "idle",
    sources: [],
    replay: null,
    clockOffsetMs: null,
    heartbeatAt: null,
    closedReason: null,
    stateSince: Date.now(),
    reconnects: 0,
    gaps: [],
    gapCount: 0,
  };
  private wasLive = false;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly agio: Agio) {
    this.store = new FrameStore(() => this.view);
    this.stream = agio.stream({
      onState: (state) => this.changeState(state),
      onHeartbeat: ({ serverTime, sources }) => {
        const now = Date.now();
        this.change({ heartbeatAt: now, clockOffsetMs: Date.parse(serverTime) - now });
        if (Object.keys(sources).length > 0) this.change({ sources: Object.entries(sources).sort() });
      },
      onGap: (gap) => this.remember(gap),
      onClosed: (error) => this.change({ closedReason: error.reason }),
    });
    void this.readStatus();
    this.timer = setInterval(() => void this.readStatus(), STATUS_EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    this.stream.close();
  }

  private remember(gap: Gap): void {
    const gaps = [{ ...gap, at: Date.now() }, ...this.view.gaps].slice(0, KEPT_GAPS);
    this.change({ gaps, gapCount: this.view.gapCount + 1 });
  }

  private changeState(state: StreamState): void {
    const isLost = this.wasLive && (state === "connecting" || state === "stale");
    this.wasLive = state === "live" || (this.wasLive && !isLost);
    this.change({ state, stateSince: Date.now(), reconnects: this.view.reconnects + (isLost ? 1 : 0) });
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

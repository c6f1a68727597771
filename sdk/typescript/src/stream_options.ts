/** What a stream is told by its maker, and what it tells. */

import type { Clock } from "./clock.ts";
import type { Gap } from "./continuity.ts";
import type { StreamClosed } from "./errors.ts";
import type { Instant, SourceState } from "./models.ts";
import type { WebSocketConstructor } from "./socket.ts";
import type { Encoding, StreamCredential } from "./wire.ts";

export type StreamState = "connecting" | "live" | "stale" | "resuming" | "closed";

export interface Heartbeat {
  readonly serverTime: Instant;
  /** By upstream source, such as a venue. */
  readonly sources: Readonly<Record<string, SourceState>>;
}

export interface StreamEvents {
  readonly onState?: (state: StreamState) => void;
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** Gaps of all subscriptions. */
  readonly onGap?: (gap: Gap) => void;
  /** The stream is closed for good. */
  readonly onClosed?: (error: StreamClosed) => void;
  /** A callback of yours threw; without this it is an uncaught error. The stream goes on in any case. */
  readonly onFault?: (error: unknown) => void;
}

export interface StreamOptions extends StreamEvents {
  /** `msgpack` saves bytes, `json` (the default) is decoded faster by most runtimes. */
  readonly encoding?: Encoding;
  /** Another WebSocket than the runtime's. */
  readonly webSocket?: WebSocketConstructor;
  readonly clock?: Clock;
  /** Evenly from 0 to below 1; the jitter of all waiting. */
  readonly random?: () => number;
}

/** Called for each connection and before a credential expires; a text is a ticket. */
export type GetCredential = () => string | StreamCredential | Promise<string | StreamCredential>;

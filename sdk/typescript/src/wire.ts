/** The messages of a stream, and the two ways to write them. */

import type { SourceState } from "./models.ts";
import * as msgpack from "./msgpack.ts";

export type Encoding = "json" | "msgpack";

/** Who we are: a single-use ticket of `POST /api/stream/tickets`, or a key. */
export type StreamCredential = { readonly ticket: string } | { readonly token: string };

/** Any message from the server; which members are set depends on `op`, and a push has none. */
export interface Frame {
  readonly op?: string;
  readonly id?: number;
  readonly n?: number;
  readonly subs?: readonly Confirmed[];
  readonly errs?: readonly Refused[];
  readonly unsubs?: readonly string[];
  readonly resyncs?: readonly string[];
  readonly from?: number;
  readonly to?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly retry?: boolean;
  readonly retry_after_ms?: number;
  readonly conn?: string;
  readonly hb_ms?: number;
  readonly limits?: Limits;
  readonly expires_at?: string;
  readonly server_time?: string;
  readonly slot?: number;
  readonly within_ms?: number;
  readonly sources?: Readonly<Record<string, SourceState>>;
  readonly top?: Readonly<Record<string, number>>;
}

export interface Limits {
  readonly subscriptions?: number;
  readonly message_bytes?: number;
  readonly messages_per_second?: number;
}

/** A channel that was opened; `recovered` and what follows it come with `from` or `start` only. */
export interface Confirmed {
  readonly ch: string;
  readonly n: number;
  readonly epoch?: string;
  readonly seq?: number;
  readonly first?: number;
  readonly recovered?: boolean;
  readonly reason?: string;
  readonly rest?: string;
}

export interface Refused {
  readonly ch: string;
  readonly code: string;
  readonly detail?: string;
  readonly retry?: boolean;
  readonly retry_after_ms?: number;
}

/** A push as it stands on the wire. */
export interface Push {
  readonly n: number;
  readonly q: number;
  readonly t: number;
  readonly d: unknown;
  readonly p?: number;
  readonly crc?: number;
  readonly op?: string;
}

export function subprotocol(encoding: Encoding): string {
  return `agio.v1.${encoding}`;
}

export function encodeMessage(encoding: Encoding, message: object): string | Uint8Array<ArrayBuffer> {
  return encoding === "json" ? JSON.stringify(message) : msgpack.encode(message);
}

/** The messages of one WebSocket message, one or many. Throws an Error for anything else. */
export function decodeMessages(data: string | Uint8Array): Frame[] {
  const decoded: unknown = typeof data === "string" ? JSON.parse(data) : msgpack.decode(data);
  const frames: unknown[] = Array.isArray(decoded) ? decoded : [decoded];
  for (const frame of frames) {
    if (typeof frame !== "object" || frame === null || Array.isArray(frame)) {
      throw new TypeError("a message of a stream is an object");
    }
  }
  return frames as Frame[];
}

/** Whether a message is a push: it has a channel's number, and is a snapshot or has no name. */
export function isPush(frame: Frame): frame is Frame & Push {
  return (
    (frame.op === undefined || frame.op === "snap") &&
    typeof frame.n === "number" &&
    Number.isSafeInteger((frame as Partial<Push>).q)
  );
}

const LONGEST_WAIT_SECONDS = 600;

/** A time that the server told in milliseconds, in seconds, within reason; 0 for anything else. */
export function secondsTold(milliseconds: unknown): number {
  const isTime = typeof milliseconds === "number" && milliseconds > 0;
  return isTime ? Math.min(milliseconds / 1000, LONGEST_WAIT_SECONDS) : 0;
}

/** One channel's messages: its position, its book, its gaps. */

import { Book } from "./book.ts";
import { ChannelRefused, type AgioError } from "./errors.ts";
import type { BookLevels } from "./models.ts";

const STATE_CHANNELS: ReadonlySet<string> = new Set([
  "quotes",
  "bars",
  "balances",
  "positions",
  "analytics",
]);

/** A message of a channel: sequence `q`, instant `t` in microseconds since 1970. */
export interface Message<T> {
  readonly channel: string;
  readonly q: number;
  readonly t: number;
  readonly data: T;
  readonly isSnapshot: boolean;
}

export interface SubscriptionOptions<T> {
  /** Called for each message as it arrives; it must return quickly, for nothing is buffered in between. */
  readonly onMessage: (message: Message<T>) => void;
  /** The server confirmed the subscription, at first and after each reconnection. */
  readonly onConfirmed?: () => void;
  /** The subscription ended for good: refused, or the stream was closed. */
  readonly onError?: (error: AgioError) => void;
  /** Called whenever continuity is not proven: messages `first` to `last` are missing. */
  readonly onGap?: (channel: string, first: number, last: number, isRecovered: boolean) => void;
  /** Replays a log channel from just after this position. */
  readonly position?: Position;
  readonly depth?: number;
  readonly tier?: "raw" | "50ms" | "100ms" | "250ms" | "1s";
}

export interface Position {
  readonly epoch: string;
  readonly seq: number;
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

/**
 * A subscription to one channel.
 *
 * On log channels every message comes once and in order, across reconnections; where continuity cannot be
 * proven `onGap` is called. On book channels `book` is up to date whenever `onMessage` is called.
 */
export class Subscription<T = unknown> {
  readonly isLog: boolean;
  readonly book: Book | null;
  isConfirmed = false;
  isResuming = false;
  private epoch = "";
  private last: number | null = null;

  constructor(
    readonly channel: string,
    private readonly options: SubscriptionOptions<T>,
    private readonly end: (subscription: Subscription<T>) => void,
  ) {
    const [name = "", ...key] = channel.split(":");
    this.isLog = !STATE_CHANNELS.has(name) && name !== "book";
    this.book = name === "book" ? new Book(key.join(":")) : null;
    if (options.position !== undefined) {
      this.epoch = options.position.epoch;
      this.last = options.position.seq;
    }
  }

  /** Unsubscribe; safe to call twice. */
  close(): void {
    this.end(this);
  }

  /** The entry of a `sub` message, with our position if we have one. */
  wireRequest(): Record<string, unknown> {
    const request: Record<string, unknown> = { ch: this.channel };
    if (this.options.depth !== undefined) request["depth"] = this.options.depth;
    if (this.options.tier !== undefined) request["tier"] = this.options.tier;
    if (this.isLog && this.last !== null) request["from"] = { epoch: this.epoch, seq: this.last };
    return request;
  }

  /** The server answered a `sub`: we are at `seq` of `epoch`, or are being replayed up to it. */
  confirm(epoch: string, seq: number, isRecovered: boolean): void {
    if (this.isLog && (this.last === null || !isRecovered)) {
      if (this.last !== null) this.tellGap(this.last + 1, seq, false);
      this.last = seq;
    }
    this.epoch = epoch;
    this.isResuming = false;
    this.isConfirmed = true;
    this.options.onConfirmed?.();
  }

  fail(error: AgioError): void {
    this.isConfirmed = false;
    this.options.onError?.(error);
  }

  refuse(code: string, detail: string): void {
    this.fail(new ChannelRefused(this.channel, code, detail));
  }

  /** Take a push; returns false when something before it is missing and we must resume. */
  accept(push: Push): boolean {
    if (this.isResuming) return true;
    if (this.isLog && this.last !== null) {
      if (push.q <= this.last) return true;
      if (push.q !== this.last + 1) return false;
    }
    this.last = push.q;
    if (this.book !== null && !this.updateBook(this.book, push)) return false;
    this.options.onMessage({
      channel: this.channel,
      q: push.q,
      t: push.t,
      data: push.d as T,
      isSnapshot: push.op === "snap",
    });
    return true;
  }

  /** A heartbeat named the channel's newest sequence: being behind it means silent loss. */
  isBehind(top: number): boolean {
    return this.isLog && (this.last ?? 0) < top;
  }

  tellGap(first: number, last: number, isRecovered: boolean): void {
    this.options.onGap?.(this.channel, first, last, isRecovered);
  }

  private updateBook(book: Book, push: Push): boolean {
    const levels = push.d as BookLevels;
    if (push.op === "snap") return book.load(levels, push.q, push.crc);
    return book.apply(levels, push.q, push.p, push.crc);
  }
}

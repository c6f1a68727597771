/** One channel's messages: its position, its book, its queue, its gaps. */

import { Book } from "./book.ts";
import { Repairs } from "./backoff.ts";
import { LogContinuity, type Gap, type GapReason, type Missing, type LogPosition } from "./continuity.ts";
import { DEFAULT_LIMIT, Delivery, type WhenFull } from "./delivery.ts";
import { AgioError, ChannelRefused, QueueOverflow } from "./errors.ts";
import type { BookLevels } from "./models.ts";
import type { Confirmed, Push } from "./wire.ts";

/** State channels, and the member of their messages that is the key of which the newest counts. */
const STATE_KEYS: ReadonlyMap<string, string> = new Map([
  ["quotes", ""],
  ["bars", "start"],
  ["balances", "asset"],
  ["positions", "symbol"],
  ["analytics", ""],
]);

/** A message of a channel: sequence `q`, instant `t` in microseconds since 1970. */
export interface Message<T> {
  readonly channel: string;
  /** Log channels: what `q` counts in; `{ epoch, seq: q }` is the position after this message. Else empty. */
  readonly epoch: string;
  readonly q: number;
  readonly t: number;
  readonly data: T;
  readonly isSnapshot: boolean;
}

export type Tier = "raw" | "50ms" | "100ms" | "250ms" | "1s";

export interface SubscriptionOptions<T> {
  /** Called for each message as it arrives; it must return quickly. Without it messages wait to be iterated. */
  readonly onMessage?: (message: Message<T>) => void;
  /** The server confirmed the subscription, at first and after each reconnection. */
  readonly onConfirmed?: () => void;
  /** The subscription ended for good: refused, or the stream was closed. */
  readonly onError?: (error: AgioError) => void;
  /** Called whenever continuity is not proven. */
  readonly onGap?: (gap: Gap) => void;
  /** Log channels: everything after this position first, then live. */
  readonly position?: LogPosition;
  /** Log channels: history from this sequence or RFC 3339 time on first, then live. */
  readonly start?: number | string;
  /** Book levels that are shown; the book may hold more. */
  readonly depth?: number;
  /** State and book channels: how often the channel speaks at most. */
  readonly tier?: Tier;
  /** How many messages may wait to be iterated. */
  readonly limit?: number;
  readonly whenFull?: WhenFull;
}

/** What has happened on a subscription since it was made. */
export interface Counters {
  messages: number;
  /** Messages that came again and were left out. */
  duplicates: number;
  gaps: number;
  /** How often the channel was asked for again because something was missing or a checksum did not hold. */
  resyncs: number;
  /** Messages that did not fit into the queue. */
  dropped: number;
}

/** What a subscription asks of its stream. */
export interface SubscriptionOwner {
  readonly end: (subscription: AnySubscription) => void;
  readonly pause: (subscription: AnySubscription) => void;
  readonly resume: (subscription: AnySubscription) => void;
  readonly told: (gap: Gap) => void;
  /** Run a callback of the application. */
  readonly call: (callback: () => void) => void;
}

export type AnySubscription = Subscription<never>;

/** A channel's number on a connection, as the server confirmed it. */
export interface Binding {
  readonly subscription: AnySubscription;
}

/** What is to be done after a push. */
export type Outcome = "fine" | "resume" | "resync";

/**
 * A subscription to one channel: callbacks, or `for await` over its messages (one reader).
 *
 * On log channels every message comes once and in order, across reconnections; where continuity cannot be
 * proven `onGap` is called. On book channels `book` is up to date whenever a message arrives.
 */
export class Subscription<T = unknown> implements AsyncIterable<Message<T>> {
  readonly channel: string;
  readonly isLog: boolean;
  readonly book: Book | null;
  readonly counters: Counters = { messages: 0, duplicates: 0, gaps: 0, resyncs: 0, dropped: 0 };
  isConfirmed = false;
  /** @internal The connection's number that counts now; pushes of others are ignored. */
  source: Binding | null = null;
  /** @internal Given back to the server until the queue has room. */
  isPaused = false;
  /** @internal */
  readonly repairs: Repairs;
  /** @internal A snapshot will be asked for in a moment. */
  isResyncPlanned = false;
  private readonly options: SubscriptionOptions<T>;
  private readonly owner: SubscriptionOwner;
  private readonly log: LogContinuity | null;
  private readonly queue: Delivery<Message<T>>;
  private readonly whenFull: WhenFull;
  private readonly keyMember: string;
  private isIterated = false;
  private bookLast: number | null = null;
  private broken: GapReason | null = null;
  private isAwaitingSnapshot = true;

  constructor(channel: string, options: SubscriptionOptions<T>, owner: SubscriptionOwner, repairs: Repairs) {
    const [name = "", ...key] = channel.split(":");
    this.channel = channel;
    this.options = options;
    this.owner = owner;
    this.repairs = repairs;
    this.book = name === "book" ? new Book(key.join(":")) : null;
    this.isLog = !STATE_KEYS.has(name) && this.book === null;
    this.log = this.isLog ? new LogContinuity(options.position, options.start) : null;
    this.keyMember = STATE_KEYS.get(name) ?? "";
    this.whenFull = options.whenFull ?? (this.isLog ? "pause" : "latest");
    this.queue = new Delivery(options.limit ?? DEFAULT_LIMIT, () => this.afterRead());
  }

  /** Log channels: what was seen last, to be given as `position` another time; null before the first answer. */
  get position(): LogPosition | null {
    return this.log?.position ?? null;
  }

  /** How many messages wait to be iterated. */
  get waiting(): number {
    return this.queue.size;
  }

  /** Unsubscribe; iteration ends after what waits. Safe to call twice. */
  close(): void {
    this.owner.end(this.asAny());
    this.finish();
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<T>, undefined> {
    if (this.options.onMessage !== undefined) throw new AgioError(`${this.channel} has an onMessage already`);
    if (this.isIterated) throw new AgioError(`${this.channel} has a reader already`);
    this.isIterated = true;
    return {
      next: () => this.queue.next(),
      return: () => {
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** @internal The entry of a `sub` message, with our position if we have one. */
  wireRequest(): Record<string, unknown> {
    const { depth, tier } = this.options;
    return {
      ch: this.channel,
      ...(depth === undefined ? {} : { depth }),
      ...(tier === undefined ? {} : { tier }),
      ...this.log?.request(),
    };
  }

  /** @internal The server answered a `sub`: we stand somewhere, or are being replayed up to it. */
  confirm(answer: Confirmed): void {
    const missing = this.log?.confirm(answer) ?? null;
    this.isAwaitingSnapshot = true;
    this.isConfirmed = true;
    this.isResyncPlanned = false;
    if (missing !== null) this.tellGap(missing);
    this.owner.call(() => this.options.onConfirmed?.());
  }

  /** @internal Ended for good. */
  fail(error: AgioError): void {
    this.isConfirmed = false;
    this.source = null;
    this.queue.finish(error);
    this.owner.call(() => this.options.onError?.(error));
  }

  /** @internal */
  refuse(code: string, detail: string): void {
    this.fail(new ChannelRefused(this.channel, code, detail));
  }

  /** @internal No more messages come. */
  finish(): void {
    this.isConfirmed = false;
    this.source = null;
    this.queue.finish();
  }

  /** @internal Take a push of the connection's number that counts. */
  accept(push: Push): Outcome {
    if (this.log !== null) return this.acceptLog(this.log, push);
    if (this.book !== null) return this.acceptBook(this.book, push);
    this.deliver(push);
    return "fine";
  }

  /** @internal A heartbeat named the channel's newest sequence: being behind it means silent loss. */
  isBehind(top: number): boolean {
    return this.log?.isBehind(top) ?? false;
  }

  /** @internal The server left out messages of a conflatable channel; the newest values or a snapshot follow. */
  skipped(from: number, to: number): void {
    this.tellGap({ from, to, epoch: "", recovered: true, reason: "skipped" });
    this.bookLast = null;
    this.isAwaitingSnapshot = true;
  }

  private acceptLog(log: LogContinuity, push: Push): Outcome {
    const verdict = log.judge(push.q);
    if (verdict === "seen") {
      this.counters.duplicates += 1;
      return "fine";
    }
    if (verdict === "early") return "resume";
    if (this.mustPause()) {
      // Not taken, so that resuming brings it again.
      this.pause();
      return "fine";
    }
    log.advance(push.q);
    this.deliver(push);
    return "fine";
  }

  private acceptBook(book: Book, push: Push): Outcome {
    const levels = push.d as BookLevels;
    if (push.op === "snap") {
      if (!book.load(levels, push.q, push.crc)) return this.breakBook("book_checksum");
      this.isAwaitingSnapshot = false;
      this.tellBookGap(push.q);
    } else {
      if (this.isAwaitingSnapshot) return "fine";
      if (push.q <= book.sequence) {
        this.counters.duplicates += 1;
        return "fine";
      }
      const isNext = push.p === undefined || push.p === book.sequence;
      if (!book.apply(levels, push.q, push.p, push.crc)) return this.breakBook(isNext ? "book_checksum" : "book_gap");
    }
    this.bookLast = push.q;
    this.deliver(push);
    return "fine";
  }

  private breakBook(reason: GapReason): Outcome {
    this.broken = reason;
    this.isAwaitingSnapshot = true;
    return "resync";
  }

  /** A snapshot made the book whole: what lies between it and the last good update was not seen. */
  private tellBookGap(sequence: number): void {
    const { bookLast, broken } = this;
    this.broken = null;
    if (bookLast === null || (sequence === bookLast && broken === null)) return;
    const from = Math.min(bookLast + 1, sequence);
    this.tellGap({ from, to: sequence, epoch: "", recovered: true, reason: broken ?? "reconnected" });
  }

  private deliver(push: Push): void {
    this.counters.messages += 1;
    const message: Message<T> = {
      channel: this.channel,
      epoch: this.log?.epoch ?? "",
      q: push.q,
      t: push.t,
      data: push.d as T,
      isSnapshot: push.op === "snap",
    };
    const { onMessage } = this.options;
    if (onMessage !== undefined) this.owner.call(() => onMessage(message));
    else this.enqueue(message);
  }

  private enqueue(message: Message<T>): void {
    if (this.whenFull === "latest") this.replace(message);
    if (this.queue.isFull) {
      if (this.whenFull === "pause") return this.pause();
      if (this.whenFull === "fail") return this.overflow();
      this.drop(this.queue.shift());
    }
    this.queue.push(message);
  }

  private replace(message: Message<T>): void {
    const key = this.keyOf(message);
    this.drop(this.queue.remove((one) => this.keyOf(one) === key));
  }

  private keyOf(message: Message<T>): unknown {
    return this.keyMember === "" ? "" : (message.data as Record<string, unknown>)[this.keyMember];
  }

  private drop(message: Message<T> | undefined): void {
    if (message === undefined) return;
    this.counters.dropped += 1;
    const { q, epoch } = message;
    if (this.isLog) this.tellGap({ from: q, to: q, epoch, recovered: false, reason: "overflow" });
  }

  private overflow(): void {
    this.counters.dropped += 1;
    this.owner.end(this.asAny());
    this.fail(new QueueOverflow(this.channel, this.queue.limit));
  }

  private mustPause(): boolean {
    return this.whenFull === "pause" && this.options.onMessage === undefined && this.queue.isFull;
  }

  private pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.owner.pause(this.asAny());
  }

  private afterRead(): void {
    if (this.isPaused && this.queue.size * 2 <= this.queue.limit) {
      this.isPaused = false;
      this.owner.resume(this.asAny());
    }
  }

  private tellGap(missing: Missing): void {
    this.counters.gaps += 1;
    const gap = { channel: this.channel, ...missing };
    this.owner.call(() => this.options.onGap?.(gap));
    this.owner.told(gap);
  }

  private asAny(): AnySubscription {
    return this as unknown as AnySubscription;
  }
}

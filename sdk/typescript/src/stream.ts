/** The multiplexed stream: reconnects to its own channels, resumes where it was, never loses silently. */

import { AuthenticationBreaker, Backoff } from "./backoff.ts";
import { Connection, type Frame } from "./connection.ts";
import { AgioError, ApiError, StreamClosed } from "./errors.ts";
import type { Instant, SourceState } from "./models.ts";
import { Subscription, type Push, type SubscriptionOptions } from "./subscription.ts";

const STALE_HEARTBEATS = 2;
const WATCH_MS = 1_000;
const REPLACEMENT_SECONDS = 10;
const LEAST_RETRY_SECONDS = 1;

export type StreamState = "connecting" | "live" | "stale" | "resuming" | "closed";

export interface Heartbeat {
  readonly serverTime: Instant;
  /** By upstream source, such as a venue. */
  readonly sources: Readonly<Record<string, SourceState>>;
}

export interface StreamEvents {
  readonly onState?: (state: StreamState) => void;
  readonly onHeartbeat?: (heartbeat: Heartbeat) => void;
  /** The stream is closed for good. */
  readonly onClosed?: (error: StreamClosed) => void;
}

type AnySubscription = Subscription<never>;

/**
 * A connection that looks after itself; made by `Agio.stream()`.
 *
 * Reconnects with full jitter from 0.5 to 20 s, never sooner than the server asks, and gives up only when
 * the close code says so (4500-4999) or the key was refused three times in a row.
 */
export class Stream {
  state: StreamState = "connecting";
  private readonly subscriptions = new Map<string, AnySubscription>();
  private readonly retries = new Map<string, Backoff>();
  private readonly backoff = new Backoff();
  private readonly breaker = new AuthenticationBreaker();
  private connection: Connection | null = null;
  private replacement: Connection | null = null;
  private isStarted = false;
  private openedAt = 0;
  private watch: ReturnType<typeof setInterval> | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private failure: StreamClosed | null = null;

  constructor(
    private readonly url: string,
    private readonly ticket: () => Promise<string>,
    private readonly events: StreamEvents = {},
  ) {}

  /**
   * Subscribe to a channel such as `trades:BTC-USD`.
   *
   * Throws StreamClosed when the stream is closed for good, AgioError when it has the channel already. A
   * refusal comes through `onError`.
   */
  subscribe<T>(channel: string, options: SubscriptionOptions<T>): Subscription<T> {
    if (this.failure !== null) throw this.failure;
    if (this.subscriptions.has(channel)) {
      throw new AgioError(`${channel} is subscribed already on this stream`);
    }
    const subscription = new Subscription<T>(channel, options, (one) => this.unsubscribe(one as unknown as AnySubscription));
    this.subscriptions.set(channel, subscription as unknown as AnySubscription);
    if (!this.isStarted) {
      this.isStarted = true;
      void this.open();
    } else {
      this.connection?.subscribe([subscription as unknown as AnySubscription]);
    }
    return subscription;
  }

  /** Close the socket and end every subscription; safe to call twice. */
  close(): void {
    this.failure ??= new StreamClosed(1000, "closed by the client");
    this.stop();
  }

  private unsubscribe(subscription: AnySubscription): void {
    if (this.subscriptions.get(subscription.channel) !== subscription) return;
    this.subscriptions.delete(subscription.channel);
    this.retries.delete(subscription.channel);
    this.connection?.unsubscribe(subscription);
  }

  private async open(): Promise<void> {
    this.setState("connecting");
    let ticket: string;
    try {
      ticket = await this.ticket();
    } catch (error) {
      this.judgeTicket(error);
      return;
    }
    if (this.failure === null) this.connection = this.connect(ticket);
  }

  private judgeTicket(error: unknown): void {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
      this.breaker.failed();
      if (this.breaker.isOpen) {
        this.fail(new StreamClosed(error.status, error.detail || "the server refused this key three times"));
        return;
      }
    }
    this.reopenAfter(0);
  }

  private connect(ticket: string): Connection {
    const connection: Connection = new Connection(this.url, ticket, {
      onFrame: (frame) => this.read(connection, frame),
      onWelcome: (frame) => this.welcomed(connection, frame),
      onClose: (code, reason) => this.lost(connection, code, reason),
    });
    return connection;
  }

  private welcomed(connection: Connection, frame: Frame): void {
    this.breaker.succeeded();
    if (connection === this.replacement) {
      const old = this.connection;
      this.connection = connection;
      this.replacement = null;
      old?.close();
    }
    this.openedAt = Date.now();
    this.watch ??= setInterval(() => this.checkSilence(), WATCH_MS);
    if (frame.server_time !== undefined) {
      this.events.onHeartbeat?.({ serverTime: frame.server_time, sources: {} });
    }
    this.setState(this.subscriptions.size > 0 ? "resuming" : "live");
    connection.subscribe([...this.subscriptions.values()]);
  }

  private lost(connection: Connection, code: number, reason: string): void {
    if (connection === this.replacement) {
      this.replacement = null;
      return;
    }
    if (connection !== this.connection) return;
    this.connection = null;
    this.replacement?.close();
    this.replacement = null;
    for (const subscription of this.subscriptions.values()) subscription.isResuming = false;
    if (this.openedAt > 0) this.backoff.wasHealthy((Date.now() - this.openedAt) / 1000);
    this.openedAt = 0;
    if (code >= 4500 && code <= 4999) {
      this.fail(new StreamClosed(code, reason || "closed by the server"));
    } else {
      this.reopenAfter(retryAfterSeconds(reason));
    }
  }

  private reopenAfter(atLeastSeconds: number): void {
    if (this.failure !== null) return;
    this.setState("connecting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.open(), this.backoff.nextDelay(atLeastSeconds) * 1000);
  }

  private checkSilence(): void {
    const connection = this.connection;
    if (connection === null || !connection.isWelcome) return;
    if (Date.now() - connection.heardAt > connection.heartbeatMs * STALE_HEARTBEATS) {
      this.setState("stale");
      connection.abandon(1006, "");
    }
  }

  private read(connection: Connection, frame: Frame): void {
    if (frame.op === "snap" || (frame.op === undefined && frame.id === undefined)) {
      this.push(connection, frame as unknown as Push);
    } else if (frame.subs !== undefined && frame.id !== undefined) {
      this.answered(connection, frame);
    } else if (frame.op === "hb") {
      this.heartbeat(connection, frame);
    } else if (frame.op === "skipped") {
      connection.numbers.get(frame.n ?? -1)?.tellGap(frame.from ?? 0, frame.to ?? 0, false);
    } else if (frame.op === "reauth") {
      void this.renew(connection);
    } else if (frame.op === "unsub") {
      this.ended(connection, frame);
    } else if (frame.op === "drain") {
      void this.replace();
    }
  }

  private push(connection: Connection, push: Push): void {
    const subscription = connection.numbers.get(push.n);
    if (subscription !== undefined && !subscription.accept(push)) this.resume(connection, subscription);
  }

  private answered(connection: Connection, frame: Frame): void {
    const asked = connection.take(frame.id ?? 0);
    for (const confirmed of frame.subs ?? []) {
      const subscription = asked.get(confirmed.ch);
      if (subscription === undefined || this.subscriptions.get(confirmed.ch) !== subscription) continue;
      connection.numbers.set(confirmed.n, subscription);
      this.retries.delete(confirmed.ch);
      subscription.confirm(confirmed.epoch ?? "", confirmed.seq ?? 0, confirmed.recovered ?? true);
    }
    for (const refused of frame.errs ?? []) {
      const subscription = asked.get(refused.ch);
      if (subscription === undefined || this.subscriptions.get(refused.ch) !== subscription) continue;
      if (refused.retry === true) {
        this.retryLater(subscription, (refused.retry_after_ms ?? 0) / 1000);
      } else {
        this.subscriptions.delete(refused.ch);
        subscription.refuse(refused.code, refused.detail ?? "");
      }
    }
    this.setState("live");
  }

  /** The server ended a channel: come back to it when it says that this may help. */
  private ended(connection: Connection, frame: Frame): void {
    const subscription = connection.numbers.get(frame.n ?? -1);
    if (subscription === undefined) return;
    connection.numbers.delete(frame.n ?? -1);
    if (frame.retry === true) {
      this.retryLater(subscription, (frame.retry_after_ms ?? 0) / 1000);
    } else {
      this.subscriptions.delete(subscription.channel);
      subscription.refuse(frame.code ?? "unknown", frame.detail ?? "");
    }
  }

  private retryLater(subscription: AnySubscription, atLeastSeconds: number): void {
    const backoff = this.retries.get(subscription.channel) ?? new Backoff();
    this.retries.set(subscription.channel, backoff);
    const delay = backoff.nextDelay(Math.max(atLeastSeconds, LEAST_RETRY_SECONDS));
    const connection = this.connection;
    setTimeout(() => {
      const isWanted = this.subscriptions.get(subscription.channel) === subscription;
      if (isWanted && connection === this.connection) this.connection?.subscribe([subscription]);
    }, delay * 1000);
  }

  /** A heartbeat names the newest sequence of each log channel: being behind it means silent loss. */
  private heartbeat(connection: Connection, frame: Frame): void {
    for (const [number, top] of Object.entries(frame.top ?? {})) {
      const subscription = connection.numbers.get(Number(number));
      if (subscription?.isBehind(top) === true) this.resume(connection, subscription);
    }
    this.events.onHeartbeat?.({ serverTime: frame.server_time ?? "", sources: frame.sources ?? {} });
  }

  private resume(connection: Connection, subscription: AnySubscription): void {
    if (subscription.isResuming) return;
    subscription.isResuming = true;
    connection.unsubscribe(subscription);
    connection.subscribe([subscription]);
  }

  private async renew(connection: Connection): Promise<void> {
    try {
      connection.send({ op: "auth", ticket: await this.ticket() });
    } catch {
      // Without a renewed credential the server closes the connection; that close code decides.
    }
  }

  /** A draining node: open the connection that replaces this one before it goes. */
  private async replace(): Promise<void> {
    if (this.replacement !== null || this.failure !== null) return;
    try {
      const ticket = await this.ticket();
      const replacement = this.connect(ticket);
      this.replacement = replacement;
      setTimeout(() => {
        if (this.replacement === replacement) replacement.close();
      }, REPLACEMENT_SECONDS * 1000);
    } catch {
      // The old connection's end will lead to an ordinary reconnection.
    }
  }

  private fail(error: StreamClosed): void {
    this.failure = error;
    this.stop();
    for (const subscription of this.subscriptions.values()) subscription.fail(error);
    this.events.onClosed?.(error);
  }

  private stop(): void {
    clearTimeout(this.timer);
    clearInterval(this.watch);
    this.watch = undefined;
    const connections = [this.connection, this.replacement];
    this.connection = null;
    this.replacement = null;
    for (const connection of connections) connection?.close();
    this.setState("closed");
  }

  private setState(state: StreamState): void {
    if (state !== this.state) {
      this.state = state;
      this.events.onState?.(state);
    }
  }
}

function retryAfterSeconds(reason: string): number {
  try {
    const told = JSON.parse(reason) as { retry_after_ms?: unknown };
    return typeof told.retry_after_ms === "number" ? told.retry_after_ms / 1000 : 0;
  } catch {
    return 0;
  }
}

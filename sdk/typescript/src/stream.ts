/** The multiplexed stream: reconnects to its own channels, resumes where it was, never loses silently. */

import { AuthenticationBreaker, Backoff, Repairs } from "./backoff.ts";
import { Channels } from "./channels.ts";
import { SYSTEM_CLOCK, Timers, type Clock } from "./clock.ts";
import { Connection } from "./connection.ts";
import { AgioError, ApiError, StreamClosed } from "./errors.ts";
import type { GetCredential, Heartbeat, StreamOptions, StreamState } from "./stream_options.ts";
import { Subscription, type AnySubscription, type SubscriptionOptions, type SubscriptionOwner } from "./subscription.ts";
import { CLOSE, judgeClose } from "./verdict.ts";
import { isPush, secondsTold, type Frame, type StreamCredential } from "./wire.ts";

const STALE_HEARTBEATS = 1.5;
const DEAD_HEARTBEATS = 2;
const WATCH_MS = 1_000;
const UNANSWERED_MS = 30_000;
const RENEW_AGAIN_SECONDS = 5;
const REFUSED_CREDENTIAL = 4501;

/**
 * A connection that looks after itself; made by `Agio.stream()`.
 *
 * States: connecting, resuming (asking for its channels), live, stale (silent for longer than a heartbeat allows;
 * asked for a sign of life, and left soon), closed. Reconnects with full jitter from 0.5 to 20 s, never sooner than the server asks, and gives up only
 * when the close code says so (4500-4999) or the credential was refused three times in a row.
 */
export class Stream {
  state: StreamState = "connecting";
  private readonly url: string;
  private readonly getCredential: GetCredential;
  private readonly options: StreamOptions;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly channels: Channels;
  private readonly timers: Timers;
  private readonly backoff: Backoff;
  private readonly breaker = new AuthenticationBreaker();
  private readonly owner: SubscriptionOwner;
  private connection: Connection | null = null;
  private replacement: Connection | null = null;
  private isReplacing = false;
  private isStarted = false;
  private welcomedAt: number | null = null;
  private failure: StreamClosed | null = null;

  constructor(url: string, getCredential: GetCredential, options: StreamOptions = {}) {
    this.url = url;
    this.getCredential = getCredential;
    this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.random = options.random ?? Math.random;
    this.backoff = new Backoff(this.random);
    this.timers = new Timers(this.clock);
    this.channels = new Channels(this.clock);
    this.owner = {
      end: (subscription) => this.end(subscription),
      pause: (subscription) => this.unsubscribe(subscription),
      resume: (subscription) => this.ask(subscription),
      told: (gap) => this.call(() => this.options.onGap?.(gap)),
      call: (callback) => this.call(callback),
    };
  }

  /**
   * Subscribe to a channel such as `trades:BTC-USD`.
   *
   * Throws StreamClosed when the stream is closed for good, AgioError when it has the channel already. A
   * refusal comes through `onError`, and to who iterates.
   */
  subscribe<T>(channel: string, options: SubscriptionOptions<T> = {}): Subscription<T> {
    if (this.failure !== null) throw this.failure;
    if (this.channels.all.has(channel)) throw new AgioError(`${channel} is subscribed already on this stream`);
    const subscription = new Subscription<T>(channel, options, this.owner, new Repairs(this.random));
    const any = subscription as unknown as AnySubscription;
    this.channels.all.set(channel, any);
    if (this.isStarted) this.ask(any);
    else {
      this.isStarted = true;
      this.keepWatch();
      void this.open();
    }
    return subscription;
  }

  /** Close the socket and end every subscription; safe to call twice. */
  close(): void {
    if (this.state === "closed") return;
    this.failure = new StreamClosed(CLOSE.NORMAL, "closed by the client");
    this.stop();
    for (const subscription of this.channels.all.values()) subscription.finish();
    this.channels.all.clear();
  }

  // Subscriptions

  private end(subscription: AnySubscription): void {
    if (this.channels.all.get(subscription.channel) !== subscription) return;
    this.channels.all.delete(subscription.channel);
    this.unsubscribe(subscription);
  }

  private unsubscribe(subscription: AnySubscription): void {
    subscription.source = null;
    for (const connection of [this.connection, this.replacement]) {
      if (connection?.isWelcome === true) connection.outbox.unsubscribe(subscription.channel);
    }
  }

  /** Ask for a channel where its messages are to come from: the newest connection that is ready. */
  private ask(subscription: AnySubscription): void {
    if (this.channels.all.get(subscription.channel) !== subscription) return;
    const ready = [this.replacement, this.connection].find((one) => one?.isWelcome === true);
    ready?.outbox.subscribe(subscription);
  }

  // Opening

  private async open(): Promise<void> {
    this.setState("connecting");
    let credential: StreamCredential;
    try {
      credential = await this.credential();
    } catch (error) {
      this.failedToSignIn(error);
      return;
    }
    if (this.failure !== null) return;
    try {
      this.connection = this.connect(credential);
    } catch (error) {
      // The address is none, or there is no WebSocket: trying again changes nothing.
      this.fail(new StreamClosed(CLOSE.ABNORMAL, String(error)));
    }
  }

  private async credential(): Promise<StreamCredential> {
    const credential = await this.getCredential();
    return typeof credential === "string" ? { ticket: credential } : credential;
  }

  private failedToSignIn(error: unknown): void {
    if (this.failure !== null) return;
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
      this.refused(error.status, error.detail);
    } else {
      this.reopenAfter(error instanceof ApiError ? error.retryAfterSeconds : 0);
    }
  }

  /** The credential was refused: a wrong key does not become right by being sent again and again. */
  private refused(code: number, reason: string): void {
    this.breaker.failed();
    if (this.breaker.isOpen) this.fail(new StreamClosed(code, reason || "the credential was refused three times"));
    else this.reopenAfter(0);
  }

  private connect(credential: StreamCredential): Connection {
    const connection: Connection = new Connection(
      this.url,
      credential,
      {
        onFrame: (frame) => this.read(connection, frame),
        onWelcome: (frame) => this.welcomed(connection, frame),
        onClose: (code, reason) => this.lost(connection, code, reason),
      },
      { encoding: this.options.encoding ?? "json", clock: this.clock, webSocket: this.options.webSocket },
    );
    return connection;
  }

  private welcomed(connection: Connection, frame: Frame): void {
    this.breaker.succeeded();
    if (frame.server_time !== undefined) this.beat({ serverTime: frame.server_time, sources: {} });
    this.channels.begin(connection);
    if (connection === this.connection) {
      this.welcomedAt = this.clock.now();
      this.setState(connection.outbox.isSubscribing ? "resuming" : "live");
    }
    this.settle(connection);
  }

  private reopenAfter(atLeastSeconds: number): void {
    if (this.failure !== null) return;
    this.setState("connecting");
    this.timers.after(this.backoff.nextDelay(atLeastSeconds) * 1000, () => void this.open());
  }

  // The end of a connection

  private lost(connection: Connection, code: number, reason: string): void {
    this.channels.lost(connection);
    if (connection === this.replacement) {
      this.replacement = null;
      const verdict = judgeClose(code, reason);
      if (verdict.mayReturn) this.replaceAfter(this.backoff.nextDelay(verdict.afterSeconds));
      else this.isReplacing = false;
      return;
    }
    if (connection !== this.connection) return;
    this.connection = null;
    this.countHealth();
    if (this.replacement !== null) {
      this.promote(this.replacement);
    } else {
      this.isReplacing = false;
      this.judge(connection, code, reason);
    }
  }

  private judge(connection: Connection, code: number, reason: string): void {
    const verdict = judgeClose(code, reason);
    const isTicketRefused = code === REFUSED_CREDENTIAL && "ticket" in connection.credential && !connection.isWelcome;
    if (isTicketRefused || (verdict.isAboutCredential && !connection.isWelcome)) {
      // The next ticket may be better: it is the breaker that ends this.
      this.refused(code, reason);
    } else if (verdict.mayReturn) {
      this.reopenAfter(verdict.afterSeconds);
    } else {
      this.fail(new StreamClosed(code, reason || "closed by the server"));
    }
  }

  private countHealth(): void {
    if (this.welcomedAt !== null) this.backoff.wasHealthy((this.clock.now() - this.welcomedAt) / 1000);
    this.welcomedAt = null;
  }

  private keepWatch(): void {
    this.timers.after(WATCH_MS, () => {
      const connection = this.connection;
      if (connection?.isWelcome === true) this.check(connection);
      this.keepWatch();
    });
  }

  private check(connection: Connection): void {
    const silentHeartbeats = connection.silentMs() / connection.heartbeatMs;
    const isUnanswered = connection.outbox.oldestWait() > UNANSWERED_MS;
    if (silentHeartbeats > DEAD_HEARTBEATS || isUnanswered) {
      this.setState("stale");
      connection.abandon(CLOSE.ABNORMAL, isUnanswered ? "no answer" : "silent");
    } else if (silentHeartbeats > STALE_HEARTBEATS && this.state !== "stale") {
      this.setState("stale");
      connection.send({ op: "ping" });
    }
  }

  // Messages that are not about channels

  private read(connection: Connection, frame: Frame): void {
    if (isPush(frame)) {
      this.channels.push(connection, frame);
      if (this.state === "stale") this.settle(connection);
      return;
    }
    if (frame.op === "reauth") void this.renew(connection);
    else if (frame.op === "drain") this.drained(connection, frame);
    else this.channels.read(connection, frame);
    if (frame.op === "hb") this.beat({ serverTime: frame.server_time ?? "", sources: frame.sources ?? {} });
    this.settle(connection);
  }

  /** Nothing is owed to us on this connection any more. */
  private settle(connection: Connection): void {
    if (!connection.isWelcome || connection.outbox.isSubscribing) return;
    if (connection === this.replacement) this.promote(connection);
    else if (connection === this.connection) this.setState("live");
  }

  /** The credential ends soon. Without a new one the server closes the connection, and the code decides. */
  private async renew(connection: Connection): Promise<void> {
    if (connection.isOver) return;
    try {
      const credential = await this.credential();
      if (!connection.isOver) connection.send({ op: "auth", ...credential });
    } catch {
      this.timers.after(RENEW_AGAIN_SECONDS * 1000, () => void this.renew(connection));
    }
  }

  // A node that goes away: the connection that replaces this one is opened, and resumed there, before it ends

  private drained(connection: Connection, frame: Frame): void {
    if (connection !== this.connection || this.isReplacing) return;
    this.isReplacing = true;
    this.replaceAfter(secondsTold(frame.slot));
  }

  private replaceAfter(seconds: number): void {
    this.timers.after(seconds * 1000, () => void this.replace());
  }

  private async replace(): Promise<void> {
    try {
      const credential = await this.credential();
      if (this.isReplacing && this.replacement === null) this.replacement = this.connect(credential);
    } catch {
      // The old connection is still there; when it ends, the ordinary way leads on.
      if (this.isReplacing) this.replaceAfter(this.backoff.nextDelay());
    }
  }

  private promote(connection: Connection): void {
    const old = this.connection;
    this.connection = connection;
    this.replacement = null;
    this.isReplacing = false;
    if (old !== null) {
      this.countHealth();
      old.close();
      this.channels.lost(old);
    }
    this.welcomedAt = connection.isWelcome ? this.clock.now() : null;
    if (!connection.isWelcome) this.setState("connecting");
    else this.setState(connection.outbox.isSubscribing ? "resuming" : "live");
  }

  // The end

  private fail(error: StreamClosed): void {
    this.failure = error;
    this.stop();
    for (const subscription of this.channels.all.values()) subscription.fail(error);
    this.channels.all.clear();
    this.call(() => this.options.onClosed?.(error));
  }

  private stop(): void {
    this.timers.stop();
    this.channels.stop();
    const connections = [this.connection, this.replacement];
    this.connection = null;
    this.replacement = null;
    this.isReplacing = false;
    for (const connection of connections) connection?.close();
    this.setState("closed");
  }

  private setState(state: StreamState): void {
    if (state === this.state) return;
    this.state = state;
    this.call(() => this.options.onState?.(state));
  }

  private beat(heartbeat: Heartbeat): void {
    this.call(() => this.options.onHeartbeat?.(heartbeat));
  }

  /** Code of the application must not break the reading of messages. */
  private call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      const { onFault } = this.options;
      queueMicrotask(() => {
        if (onFault === undefined) throw error;
        onFault(error);
      });
    }
  }
}

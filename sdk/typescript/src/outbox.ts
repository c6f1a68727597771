/** What one connection still has to ask for: many channels in one message, never more messages than are allowed. */

import type { Clock } from "./clock.ts";
import { Timers } from "./clock.ts";
import type { AnySubscription } from "./subscription.ts";
import type { Limits } from "./wire.ts";

const BURST = 10;
const DEFAULT_PER_SECOND = 20;
/** The server counts in its own clock: stay a little below what it allows. */
const SHARE = 0.8;
const DEFAULT_MESSAGE_BYTES = 16 * 1024;
const LARGEST_MESSAGE_BYTES = 48 * 1024;
const CHANNELS_PER_MESSAGE = 500;

export type Operation = "sub" | "unsub" | "resync";

/** A numbered message that the server has not answered. */
export interface Request {
  readonly id: number;
  readonly op: Operation;
  readonly channels: ReadonlyMap<string, AnySubscription | null>;
  readonly sentAt: number;
}

/**
 * Requests of one turn of the event loop go out together: a page that changes views asks once. What is planned
 * and taken back before it is sent is never sent. A channel that the server has already is ended first.
 */
export class Outbox {
  private readonly send: (message: object) => boolean;
  private readonly clock: Clock;
  private readonly timers: Timers;
  private readonly ends = new Set<string>();
  private readonly resyncs = new Map<string, AnySubscription>();
  private readonly begins = new Map<string, AnySubscription>();
  private readonly known = new Set<string>();
  private readonly requests = new Map<number, Request>();
  private readonly newest = new Map<string, number>();
  private perSecond = DEFAULT_PER_SECOND * SHARE;
  private messageBytes = DEFAULT_MESSAGE_BYTES;
  private tokens = BURST;
  private filledAt: number;
  private nextId = 1;
  private isArmed = false;
  private isStopped = false;

  constructor(send: (message: object) => boolean, clock: Clock) {
    this.send = send;
    this.clock = clock;
    this.timers = new Timers(clock);
    this.filledAt = clock.now();
  }

  /** Take over what the server's welcome says it accepts. */
  limit(limits: Limits | undefined): void {
    const perSecond: unknown = limits?.messages_per_second;
    const bytes: unknown = limits?.message_bytes;
    if (typeof perSecond === "number" && perSecond >= 1) this.perSecond = perSecond * SHARE;
    if (typeof bytes === "number" && bytes >= 1) this.messageBytes = Math.min(bytes * 0.75, LARGEST_MESSAGE_BYTES);
  }

  /** Ask for a channel, at its position of the moment when the message is written. */
  subscribe(subscription: AnySubscription): void {
    const { channel } = subscription;
    if (this.known.has(channel)) this.ends.add(channel);
    this.resyncs.delete(channel);
    this.newest.delete(channel);
    this.begins.set(channel, subscription);
    this.arm();
  }

  unsubscribe(channel: string): void {
    this.begins.delete(channel);
    this.resyncs.delete(channel);
    this.newest.delete(channel);
    if (this.known.has(channel)) {
      this.ends.add(channel);
      this.arm();
    }
  }

  /** Ask for a snapshot of a channel that is subscribed. */
  resync(subscription: AnySubscription): void {
    if (!this.known.has(subscription.channel) || this.begins.has(subscription.channel)) return;
    this.resyncs.set(subscription.channel, subscription);
    this.arm();
  }

  /** The server does not have the channel (any more). */
  forget(channel: string): void {
    this.known.delete(channel);
    this.ends.delete(channel);
  }

  /** The request that an answer belongs to. */
  take(id: number): Request | undefined {
    const request = this.requests.get(id);
    this.requests.delete(id);
    return request;
  }

  /** Whether an answer is about the newest wish for its channel; an older one was overtaken. */
  isNewest(request: Request, channel: string): boolean {
    return this.newest.get(channel) === request.id;
  }

  /** Whether the server owes an answer to a `sub`, or one is to be sent. */
  get isSubscribing(): boolean {
    return this.begins.size > 0 || [...this.requests.values()].some((request) => request.op === "sub");
  }

  /** Milliseconds that the oldest request waits for its answer; 0 without one. */
  oldestWait(): number {
    const [oldest] = this.requests.values();
    return oldest === undefined ? 0 : this.clock.now() - oldest.sentAt;
  }

  /** The server left out messages that came too fast: be silent, then repeat all that it has not answered. */
  repeatAfter(milliseconds: number): void {
    const unanswered = [...this.requests.values()];
    this.requests.clear();
    for (const request of unanswered) {
      for (const [channel, subscription] of request.channels) {
        if (request.op === "unsub") {
          // Unless the channel was asked for again since: then that request ends it first, if need be.
          if (!this.known.has(channel)) this.ends.add(channel);
        } else if (subscription !== null && this.newest.get(channel) === request.id) {
          this.plan(request.op, subscription);
        }
      }
    }
    this.tokens = 0;
    this.filledAt = this.clock.now() + milliseconds;
    this.arm();
  }

  stop(): void {
    this.isStopped = true;
    this.timers.stop();
  }

  private plan(op: Operation, subscription: AnySubscription): void {
    // Whether the first message arrived is not known: end what may have begun.
    if (op === "sub") this.known.add(subscription.channel);
    if (op === "sub") this.subscribe(subscription);
    else this.resync(subscription);
  }

  private arm(): void {
    if (this.isArmed || this.isStopped) return;
    this.isArmed = true;
    queueMicrotask(() => this.flush());
  }

  private flush(): void {
    this.isArmed = false;
    while (!this.isStopped && this.hasPlans()) {
      if (!this.spend()) {
        this.isArmed = true;
        this.timers.after(this.untilNext(), () => this.flush());
        return;
      }
      if (!this.sendNext()) return;
    }
  }

  private hasPlans(): boolean {
    return this.ends.size > 0 || this.resyncs.size > 0 || this.begins.size > 0;
  }

  /** One message: ends before beginnings, because a channel may be in both. */
  private sendNext(): boolean {
    if (this.ends.size > 0) {
      const channels = [...this.ends].slice(0, CHANNELS_PER_MESSAGE);
      for (const channel of channels) {
        this.ends.delete(channel);
        this.known.delete(channel);
      }
      return this.write("unsub", new Map(channels.map((channel) => [channel, null])), channels);
    }
    if (this.resyncs.size > 0) {
      const chosen = new Map([...this.resyncs].slice(0, CHANNELS_PER_MESSAGE));
      for (const channel of chosen.keys()) this.resyncs.delete(channel);
      return this.write("resync", chosen, [...chosen.keys()]);
    }
    return this.sendBegins();
  }

  private sendBegins(): boolean {
    const chosen = new Map<string, AnySubscription>();
    const entries: object[] = [];
    let size = 0;
    for (const [channel, subscription] of this.begins) {
      const entry = subscription.wireRequest();
      size += JSON.stringify(entry).length * 2;
      if (entries.length > 0 && (size > this.messageBytes || entries.length >= CHANNELS_PER_MESSAGE)) break;
      entries.push(entry);
      chosen.set(channel, subscription);
    }
    for (const channel of chosen.keys()) {
      this.begins.delete(channel);
      this.known.add(channel);
    }
    return this.write("sub", chosen, entries);
  }

  private write(op: Operation, channels: ReadonlyMap<string, AnySubscription | null>, entries: unknown[]): boolean {
    const id = this.nextId;
    this.nextId += 1;
    this.requests.set(id, { id, op, channels, sentAt: this.clock.now() });
    if (op !== "unsub") for (const channel of channels.keys()) this.newest.set(channel, id);
    return this.send({ id, op, ch: entries });
  }

  private spend(): boolean {
    const now = this.clock.now();
    const gained = Math.max(0, now - this.filledAt) * (this.perSecond / 1000);
    this.tokens = Math.min(BURST, this.tokens + gained);
    this.filledAt = Math.max(now, this.filledAt);
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }

  private untilNext(): number {
    const silence = Math.max(0, this.filledAt - this.clock.now());
    return silence + Math.ceil(((1 - this.tokens) * 1000) / this.perSecond);
  }
}

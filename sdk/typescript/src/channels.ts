/** The subscriptions of a stream, and what the messages of its connections mean for them. */

import { Timers, type Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Request } from "./outbox.ts";
import type { AnySubscription } from "./subscription.ts";
import { secondsTold, type Confirmed, type Frame, type Push, type Refused } from "./wire.ts";

const LEAST_RETRY_SECONDS = 1;
const LEAST_SILENCE_SECONDS = 0.5;

/** Asks for channels on connections, and hands each push to its subscription when it comes from where it should. */
export class Channels {
  readonly all = new Map<string, AnySubscription>();
  private readonly clock: Clock;
  private readonly timers: Timers;

  constructor(clock: Clock) {
    this.clock = clock;
    this.timers = new Timers(clock);
  }

  /** Ask for every channel on a connection, each at its position. */
  begin(connection: Connection): void {
    for (const subscription of this.all.values()) {
      if (!subscription.isPaused) connection.outbox.subscribe(subscription);
    }
  }

  /** A connection is gone: nothing comes from its numbers any more. */
  lost(connection: Connection): void {
    for (const binding of connection.bindings.values()) {
      if (binding.subscription.source === binding) binding.subscription.source = null;
    }
    connection.bindings.clear();
  }

  stop(): void {
    this.timers.stop();
  }

  /** Handle a message, other than a push, that is about channels. */
  read(connection: Connection, frame: Frame): void {
    if (frame.op === "skipped") this.skipped(connection, frame);
    else if (frame.op === "unsub") this.ended(connection, frame);
    else if (frame.op === "hb") this.compare(connection, frame);
    else if (frame.op === "error") this.failed(connection, frame);
    else if (frame.op === undefined && typeof frame.id === "number") this.answered(connection, frame);
  }

  push(connection: Connection, push: Push): void {
    const binding = connection.bindings.get(push.n);
    if (binding === undefined || binding.subscription.source !== binding) return;
    const outcome = binding.subscription.accept(push);
    if (outcome !== "fine") this.repair(connection, binding.subscription, outcome);
  }

  private skipped(connection: Connection, frame: Frame): void {
    const binding = connection.bindings.get(frame.n ?? -1);
    if (binding !== undefined && binding.subscription.source === binding) {
      binding.subscription.skipped(frame.from ?? 0, frame.to ?? 0);
    }
  }

  private answered(connection: Connection, frame: Frame): void {
    const request = connection.outbox.take(frame.id as number);
    if (request === undefined) return;
    for (const confirmed of frame.subs ?? []) this.confirmed(connection, request, confirmed);
    for (const refused of frame.errs ?? []) this.refused(connection, request, refused);
  }

  private confirmed(connection: Connection, request: Request, confirmed: Confirmed): void {
    const subscription = this.wanted(connection, request, confirmed.ch);
    if (subscription === null) return;
    for (const [number, one] of connection.bindings) {
      if (one.subscription === subscription) connection.bindings.delete(number);
    }
    const binding = { subscription };
    connection.bindings.set(confirmed.n, binding);
    subscription.source = binding;
    subscription.confirm(confirmed);
  }

  private refused(connection: Connection, request: Request, refused: Refused): void {
    const subscription = this.wanted(connection, request, refused.ch);
    if (subscription === null || request.op === "unsub") return;
    if (refused.code === "already_subscribed") {
      this.repair(connection, subscription, "resume");
    } else if (refused.retry === true) {
      if (request.op === "sub") connection.outbox.forget(refused.ch);
      const seconds = Math.max(secondsTold(refused.retry_after_ms), LEAST_RETRY_SECONDS);
      this.repair(connection, subscription, request.op === "sub" ? "resume" : "resync", seconds);
    } else if (request.op === "resync") {
      this.repair(connection, subscription, "resume");
    } else {
      connection.outbox.forget(refused.ch);
      this.refuse(subscription, refused.code, refused.detail ?? "");
    }
  }

  /** The subscription that an answer is about, unless it was overtaken by a newer wish. */
  private wanted(connection: Connection, request: Request, channel: string): AnySubscription | null {
    const subscription = request.channels.get(channel) ?? null;
    const isWanted = subscription !== null && this.all.get(channel) === subscription && !subscription.isPaused;
    return isWanted && connection.outbox.isNewest(request, channel) ? subscription : null;
  }

  /** A whole message was refused: for now, or as it is. */
  private failed(connection: Connection, frame: Frame): void {
    if (typeof frame.id !== "number") {
      const silence = Math.max(secondsTold(frame.retry_after_ms), LEAST_SILENCE_SECONDS);
      if (frame.retry === true) connection.outbox.repeatAfter(silence * 1000);
      return;
    }
    const request = connection.outbox.take(frame.id);
    for (const channel of request?.channels.keys() ?? []) {
      this.refused(connection, request as Request, { ...frame, ch: channel, code: frame.code ?? "unknown" });
    }
  }

  /** The server ended a channel: come back to it when it says that this may help. */
  private ended(connection: Connection, frame: Frame): void {
    const binding = connection.bindings.get(frame.n ?? -1);
    if (binding === undefined) return;
    const { subscription } = binding;
    connection.bindings.delete(frame.n ?? -1);
    if (subscription.source !== binding) return;
    subscription.source = null;
    connection.outbox.forget(subscription.channel);
    if (frame.retry === true) {
      this.repair(connection, subscription, "resume", secondsTold(frame.retry_after_ms));
    } else {
      this.refuse(subscription, frame.code ?? "unknown", frame.detail ?? "");
    }
  }

  /** A heartbeat names the newest sequence of each log channel: being behind it means silent loss. */
  private compare(connection: Connection, frame: Frame): void {
    for (const [number, top] of Object.entries(frame.top ?? {})) {
      const binding = connection.bindings.get(Number(number));
      if (binding === undefined || binding.subscription.source !== binding) continue;
      if (binding.subscription.isBehind(top)) this.repair(connection, binding.subscription, "resume");
    }
  }

  /** Ask again: at once when it has been healthy, else with a backoff. A log resumes, a book wants a snapshot. */
  private repair(
    connection: Connection,
    subscription: AnySubscription,
    how: "resume" | "resync",
    atLeastSeconds = 0,
  ): void {
    if (how === "resync" && subscription.isResyncPlanned) return;
    subscription.counters.resyncs += 1;
    subscription.isResyncPlanned = how === "resync";
    if (how === "resume") subscription.source = null;
    const delay = subscription.repairs.nextDelay(this.clock.now(), atLeastSeconds);
    const ask = () => {
      subscription.isResyncPlanned = false;
      if (this.all.get(subscription.channel) !== subscription || subscription.isPaused || connection.isOver) return;
      if (how === "resume") connection.outbox.subscribe(subscription);
      else connection.outbox.resync(subscription);
    };
    if (delay === 0) ask();
    else this.timers.after(delay * 1000, ask);
  }

  private refuse(subscription: AnySubscription, code: string, detail: string): void {
    this.all.delete(subscription.channel);
    subscription.refuse(code, detail);
  }
}

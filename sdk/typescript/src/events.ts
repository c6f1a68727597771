/** Server-sent events over `fetch`: the messages of a stream where no WebSocket gets through. */

import { AuthenticationBreaker, Backoff } from "./backoff.ts";
import { SYSTEM_CLOCK, type Clock } from "./clock.ts";
import { AgioError, ApiError, StreamClosed } from "./errors.ts";
import type { Frame, Push } from "./wire.ts";

const SILENCE_MS = 40_000;
const LARGEST_EVENT = 16 * 1024 * 1024;

export type EventMessage = Frame & Partial<Push>;

/** One event: its messages, and the position after it on all log channels of the reader. */
export interface StreamEvent {
  /** To be given as `lastEventId` another time, to any node. */
  readonly id: string;
  /** As they stand on the wire: pushes have `n`, `q`, `t` and `d`; the answer that comes first names each `n`. */
  readonly messages: readonly EventMessage[];
}

export interface EventOptions {
  readonly lastEventId?: string;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: () => number;
}

/** Opens the events; throws ApiError when the server refuses. */
export type OpenEvents = (lastEventId: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array>>;

/**
 * Events for `for await`; made by `Agio.events()`.
 *
 * Reconnects with the last id and with the backoff of a stream, so that each log channel goes on exactly once. It
 * ends when the loop is left or the signal fires; a refusal that waiting does not mend is thrown.
 */
export class EventReader implements AsyncIterable<StreamEvent> {
  /** The position after the last event that was handed out. */
  lastEventId: string;
  private readonly open: OpenEvents;
  private readonly options: EventOptions;
  private readonly clock: Clock;
  private readonly backoff: Backoff;
  private readonly breaker = new AuthenticationBreaker();
  private retrySeconds = 0;

  constructor(open: OpenEvents, options: EventOptions = {}) {
    this.open = open;
    this.options = options;
    this.clock = options.clock ?? SYSTEM_CLOCK;
    this.backoff = new Backoff(options.random);
    this.lastEventId = options.lastEventId ?? "";
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void, undefined> {
    while (this.options.signal?.aborted !== true) {
      const controller = new AbortController();
      const abort = () => controller.abort();
      this.options.signal?.addEventListener("abort", abort);
      const startedAt = this.clock.now();
      try {
        yield* this.once(controller);
      } finally {
        this.options.signal?.removeEventListener("abort", abort);
        controller.abort();
      }
      this.backoff.wasHealthy((this.clock.now() - startedAt) / 1000);
      await this.pause(this.backoff.nextDelay(this.retrySeconds));
    }
  }

  /** One connection, from its beginning to its end. */
  private async *once(controller: AbortController): AsyncGenerator<StreamEvent, void, undefined> {
    const watch = new Watchdog(this.clock, () => controller.abort());
    try {
      const body = await this.open(this.lastEventId, controller.signal);
      this.breaker.succeeded();
      const parser = new EventParser();
      const reader = body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        watch.feed();
        for (const event of parser.feed(part.value)) {
          if (event.retryMs !== null) this.retrySeconds = event.retryMs / 1000;
          if (event.data === "") continue;
          const readable = read(event);
          this.lastEventId = event.id;
          yield readable;
        }
      }
    } catch (error) {
      this.judge(error);
    } finally {
      watch.stop();
    }
  }

  /** Whether an end is an accident that passes; throws what is not. */
  private judge(error: unknown): void {
    if (error instanceof ApiError) {
      const isAboutCredential = error.status === 401 || error.status === 403;
      if (isAboutCredential) this.breaker.failed();
      if (this.breaker.isOpen || (!isAboutCredential && error.status < 500 && error.status !== 429)) throw error;
      this.retrySeconds = Math.max(this.retrySeconds, error.retryAfterSeconds);
    } else if (error instanceof AgioError) {
      throw error;
    }
  }

  private pause(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.options.signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.clock.after(seconds * 1000, done);
      this.options.signal?.addEventListener("abort", done);
      if (this.options.signal?.aborted === true) done();
    });
  }
}

/** Ends a connection that has been silent for longer than heartbeats allow. */
class Watchdog {
  private readonly clock: Clock;
  private readonly bark: () => void;
  private cancel: () => void;

  constructor(clock: Clock, bark: () => void) {
    this.clock = clock;
    this.bark = bark;
    this.cancel = clock.after(SILENCE_MS, bark);
  }

  feed(): void {
    this.stop();
    this.cancel = this.clock.after(SILENCE_MS, this.bark);
  }

  stop(): void {
    this.cancel();
  }
}

interface RawEvent {
  readonly id: string;
  readonly data: string;
  readonly retryMs: number | null;
}

/** The event stream format (HTML, 9.2.6), for streams of UTF-8 that may be cut anywhere. */
export class EventParser {
  private readonly decoder = new TextDecoder();
  private rest = "";
  private id = "";
  private data: string[] = [];
  private retryMs: number | null = null;
  private size = 0;

  /** Throws AgioError for an event that is larger than any of the server's. */
  feed(bytes: Uint8Array): RawEvent[] {
    const text = this.rest + this.decoder.decode(bytes, { stream: true });
    // A carriage return at the end may be the first half of a line's end.
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop() as string;
    const events: RawEvent[] = [];
    for (const line of lines) {
      if (line !== "") this.field(line);
      else events.push(this.dispatch());
    }
    if (this.size + this.rest.length > LARGEST_EVENT) throw new AgioError("an event is too large");
    return events;
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    this.size += line.length;
    if (name === "data") this.data.push(value);
    else if (name === "id" && !value.includes("\0")) this.id = value;
    else if (name === "retry" && /^\d{1,9}$/.test(value)) this.retryMs = Number(value);
  }

  private dispatch(): RawEvent {
    const event = { id: this.id, data: this.data.join("\n"), retryMs: this.retryMs };
    this.data = [];
    this.size = 0;
    this.retryMs = null;
    return event;
  }
}

function read(event: RawEvent): StreamEvent {
  const decoded = JSON.parse(event.data) as EventMessage | EventMessage[];
  const messages = Array.isArray(decoded) ? decoded : [decoded];
  const close = messages.find((message) => message.op === "close") as { code?: unknown; reason?: unknown } | undefined;
  if (typeof close?.code === "number" && close.code >= 4500) {
    throw new StreamClosed(close.code, String(close.reason ?? ""));
  }
  return { id: event.id, messages };
}

/** One WebSocket of a stream: signing in, silence, and the channel numbers that are valid on it. */

import { Timers, type Clock } from "./clock.ts";
import { Outbox } from "./outbox.ts";
import { Socket, type WebSocketConstructor } from "./socket.ts";
import type { Binding } from "./subscription.ts";
import { CLOSE } from "./verdict.ts";
import {
  decodeMessages,
  encodeMessage,
  secondsTold,
  subprotocol,
  type Encoding,
  type Frame,
  type StreamCredential,
} from "./wire.ts";

const DEFAULT_HEARTBEAT_MS = 15_000;
const LEAST_HEARTBEAT_MS = 1_000;
const WELCOME_MS = 10_000;
const UNREADABLE = 1002;

export interface ConnectionEvents {
  readonly onWelcome: (frame: Frame) => void;
  readonly onFrame: (frame: Frame) => void;
  /** Called exactly once, unless the connection was closed from here. */
  readonly onClose: (code: number, reason: string) => void;
}

export interface ConnectionOptions {
  readonly encoding: Encoding;
  readonly clock: Clock;
  readonly webSocket?: WebSocketConstructor | undefined;
}

/** Signs in with its first message; nothing else is sent before the server's welcome. */
export class Connection {
  readonly bindings = new Map<number, Binding>();
  readonly outbox: Outbox;
  readonly credential: StreamCredential;
  heartbeatMs = DEFAULT_HEARTBEAT_MS;
  heardAt: number;
  isWelcome = false;
  isOver = false;
  private readonly socket: Socket;
  private readonly timers: Timers;
  private readonly events: ConnectionEvents;
  private readonly encoding: Encoding;
  private readonly clock: Clock;

  constructor(url: string, credential: StreamCredential, events: ConnectionEvents, options: ConnectionOptions) {
    this.credential = credential;
    this.events = events;
    this.encoding = options.encoding;
    this.clock = options.clock;
    this.heardAt = options.clock.now();
    this.timers = new Timers(options.clock);
    this.outbox = new Outbox((message) => this.send(message), options.clock);
    this.socket = new Socket(
      url,
      [subprotocol(options.encoding)],
      {
        onOpen: () => this.send({ op: "auth", ...credential }),
        onMessage: (data) => this.received(data),
        onClose: (code, reason) => this.finish(code, reason),
      },
      options.webSocket,
    );
    this.timers.after(WELCOME_MS, () => {
      if (!this.isWelcome) this.abandon(CLOSE.ABNORMAL, "no welcome");
    });
  }

  /** False when the socket is not open: its end is told, or will be. */
  send(message: object): boolean {
    return this.socket.send(encodeMessage(this.encoding, message));
  }

  silentMs(): number {
    return this.clock.now() - this.heardAt;
  }

  /** Close politely; `onClose` is not called. */
  close(): void {
    if (this.isOver) return;
    this.release();
    this.socket.close(CLOSE.NORMAL);
  }

  /** Treat the connection as dead now, without waiting for the closing handshake. */
  abandon(code: number, reason: string): void {
    this.socket.abandon(code, reason);
  }

  private received(data: string | Uint8Array): void {
    this.heardAt = this.clock.now();
    try {
      for (const frame of decodeMessages(data)) {
        if (this.isOver) return;
        this.read(frame);
      }
    } catch (error) {
      // What cannot be read leaves everything after it in doubt: another connection resumes.
      this.abandon(UNREADABLE, error instanceof Error ? error.message : "");
    }
  }

  private read(frame: Frame): void {
    if (frame.op === "welcome" && !this.isWelcome) {
      this.isWelcome = true;
      const told = secondsTold(frame.hb_ms) * 1000;
      if (told >= LEAST_HEARTBEAT_MS) this.heartbeatMs = told;
      this.outbox.limit(frame.limits);
      this.events.onWelcome(frame);
    } else {
      this.events.onFrame(frame);
    }
  }

  private finish(code: number, reason: string): void {
    this.release();
    this.events.onClose(code, reason);
  }

  private release(): void {
    this.isOver = true;
    this.timers.stop();
    this.outbox.stop();
  }
}

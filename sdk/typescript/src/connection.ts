/** One WebSocket and the channel numbers that are valid on it. */

import type { SourceState } from "./models.ts";
import type { Subscription } from "./subscription.ts";

const SUBPROTOCOL = "agio.v1.json";
const DEFAULT_HEARTBEAT_MS = 15_000;
const WELCOME_MS = 10_000;

/** Any message from the server; which members are set depends on `op`, and a push has none. */
export interface Frame {
  readonly op?: string;
  readonly id?: number;
  readonly n?: number;
  readonly subs?: readonly Confirmed[];
  readonly errs?: readonly Refused[];
  readonly from?: number;
  readonly to?: number;
  readonly code?: string;
  readonly detail?: string;
  readonly retry?: boolean;
  readonly retry_after_ms?: number;
  readonly hb_ms?: number;
  readonly server_time?: string;
  readonly sources?: Readonly<Record<string, SourceState>>;
  readonly top?: Readonly<Record<string, number>>;
}

interface Confirmed {
  readonly ch: string;
  readonly n: number;
  readonly epoch?: string;
  readonly seq?: number;
  readonly recovered?: boolean;
}

interface Refused {
  readonly ch: string;
  readonly code: string;
  readonly detail?: string;
  readonly retry?: boolean;
  readonly retry_after_ms?: number;
}

export interface ConnectionEvents {
  readonly onWelcome: (frame: Frame) => void;
  readonly onFrame: (frame: Frame) => void;
  readonly onClose: (code: number, reason: string) => void;
}

type AnySubscription = Subscription<never>;

/** Signs in with a ticket as its first message; nothing else is sent before the server's welcome. */
export class Connection {
  readonly numbers = new Map<number, AnySubscription>();
  heartbeatMs = DEFAULT_HEARTBEAT_MS;
  heardAt = Date.now();
  isWelcome = false;
  private readonly socket: WebSocket;
  private readonly asked = new Map<number, Map<string, AnySubscription>>();
  private readonly welcomeTimer: ReturnType<typeof setTimeout>;
  private nextId = 1;
  private isOver = false;

  constructor(
    url: string,
    ticket: string,
    private readonly events: ConnectionEvents,
  ) {
    this.socket = new WebSocket(url, SUBPROTOCOL);
    this.socket.onopen = () => this.send({ op: "auth", ticket });
    this.socket.onmessage = (event: MessageEvent<string>) => this.received(event.data);
    this.socket.onclose = (event) => this.finish(event.code, event.reason);
    this.welcomeTimer = setTimeout(() => {
      if (!this.isWelcome) this.abandon(1006, "");
    }, WELCOME_MS);
  }

  send(message: object): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  subscribe(subscriptions: readonly AnySubscription[]): void {
    if (subscriptions.length === 0 || !this.isWelcome) return;
    const id = this.nextId++;
    this.asked.set(id, new Map(subscriptions.map((one) => [one.channel, one])));
    this.send({ id, op: "sub", ch: subscriptions.map((one) => one.wireRequest()) });
  }

  unsubscribe(channel: string): void {
    if (!this.isWelcome) return;
    for (const [number, one] of this.numbers) {
      if (one.channel === channel && !one.isResuming) this.numbers.delete(number);
    }
    this.send({ id: this.nextId++, op: "unsub", ch: [channel] });
  }

  /** The subscriptions that a numbered `sub` asked for. */
  take(id: number): ReadonlyMap<string, AnySubscription> {
    const asked = this.asked.get(id) ?? new Map<string, AnySubscription>();
    this.asked.delete(id);
    return asked;
  }

  /** Close politely; `onClose` is not called. */
  close(): void {
    this.isOver = true;
    clearTimeout(this.welcomeTimer);
    this.socket.close(1000);
  }

  /** Treat the socket as dead now, without waiting for the closing handshake. */
  abandon(code: number, reason: string): void {
    this.finish(code, reason);
    this.socket.close();
  }

  private received(text: string): void {
    this.heardAt = Date.now();
    const decoded = JSON.parse(text) as Frame | Frame[];
    for (const frame of Array.isArray(decoded) ? decoded : [decoded]) {
      if (this.isOver) return;
      if (frame.op === "welcome" && !this.isWelcome) {
        this.isWelcome = true;
        this.heartbeatMs = frame.hb_ms ?? DEFAULT_HEARTBEAT_MS;
        this.events.onWelcome(frame);
      } else {
        this.events.onFrame(frame);
      }
    }
  }

  private finish(code: number, reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.welcomeTimer);
    this.events.onClose(code, reason);
  }
}

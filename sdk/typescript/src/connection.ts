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

interface Request {
  readonly op: "sub" | "unsub";
  readonly subscription: AnySubscription;
}

/** Signs in with a ticket as its first message; nothing else is sent before the server's welcome. */
export class Connection {
  readonly numbers = new Map<number, AnySubscription>();
  heartbeatMs = DEFAULT_HEARTBEAT_MS;
  heardAt = Date.now();
  isWelcome = false;
  private readonly socket: WebSocket;
  private readonly asked = new Map<number, Map<string, AnySubscription>>();
  private readonly welcomeTimer: ReturnType<typeof setTimeout>;
  private readonly planned: Request[] = [];
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

  /** Requests of one turn of the event loop go out together: a page that changes views asks once. */
  subscribe(subscriptions: readonly AnySubscription[]): void {
    for (const subscription of subscriptions) this.plan({ op: "sub", subscription });
  }

  unsubscribe(subscription: AnySubscription): void {
    for (const [number, one] of this.numbers) {
      if (one === subscription && !one.isResuming) this.numbers.delete(number);
    }
    this.plan({ op: "unsub", subscription });
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

  private plan(request: Request): void {
    if (!this.isWelcome) return;
    if (this.planned.push(request) === 1) queueMicrotask(() => this.sendPlanned());
  }

  private sendPlanned(): void {
    const requests = this.planned.splice(0);
    for (let start = 0; start < requests.length; ) {
      const op = (requests[start] as Request).op;
      let end = start;
      while (requests[end]?.op === op) end += 1;
      const run = requests.slice(start, end).map((one) => one.subscription);
      start = end;
      const id = this.nextId++;
      if (op === "sub") this.asked.set(id, new Map(run.map((one) => [one.channel, one])));
      this.send({ id, op, ch: run.map((one) => (op === "sub" ? one.wireRequest() : one.channel)) });
    }
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

/**
 * A server in memory that keeps the protocol's promises, on a network that keeps none: it loses, repeats and
 * delays messages, cuts connections, begins logs anew. All of it follows from one seed.
 */

import { Book } from "../../src/book.ts";
import type { WebSocketLike } from "../../src/socket.ts";
import type { Generator } from "./random.ts";

export const LOG = "trades:X";
export const BOOK = "book:X";

interface Said {
  readonly id?: number;
  readonly op: string;
  readonly ch?: readonly (string | Asked)[];
}

interface Asked {
  readonly ch: string;
  readonly from?: { readonly epoch?: string; readonly seq: number };
}

/** One log: `+1` exactly, an epoch that changes when it begins anew, and a floor below which it was trimmed. */
class ModelLog {
  epoch = 1;
  top = 0;
  floor = 0;

  add(): void {
    this.top += 1;
  }

  beginAnew(top: number): void {
    this.epoch += 1;
    this.top = top;
    this.floor = top;
  }

  push(seq: number): object {
    return { n: 1, q: seq, t: seq, d: { epoch: this.epoch, seq } };
  }
}

/** The reference book; `sums` has the checksum after each update. */
class ModelBook {
  readonly reference = new Book("X");
  readonly sums = new Map<number, number>();
  private readonly random: Generator;

  constructor(random: Generator) {
    this.random = random;
    this.reference.load({ bids: [["100.0", "1"]], asks: [["101.0", "1"]] }, 1, undefined);
    this.sums.set(1, this.reference.checksum());
  }

  change(): object {
    const before = this.reference.sequence;
    const isBid = this.random.chance(0.5);
    const price = (isBid ? 100 - this.random.integer(0, 12) : 101 + this.random.integer(0, 12)).toFixed(1);
    const levels = [[price, String(this.random.integer(0, 3))]] as const;
    const sequence = before + this.random.integer(1, 3);
    this.reference.apply(isBid ? { bids: levels } : { asks: levels }, sequence, before, undefined);
    this.sums.set(sequence, this.reference.checksum());
    return { n: 2, q: sequence, p: before, t: 0, d: isBid ? { bids: levels } : { asks: levels }, crc: this.sums.get(sequence) };
  }

  snapshot(): object {
    const d = {
      bids: this.reference.bids(1_000).map(({ price, size }) => [price, size]),
      asks: this.reference.asks(1_000).map(({ price, size }) => [price, size]),
    };
    return { op: "snap", n: 2, q: this.reference.sequence, t: 0, d, crc: this.reference.checksum() };
  }
}

export class ModelServer {
  readonly log = new ModelLog();
  readonly book: ModelBook;
  readonly random: Generator;
  readonly peers = new Set<ModelPeer>();
  opened = 0;
  /** Whether the network is still hostile. */
  isHostile = true;

  constructor(random: Generator) {
    this.random = random;
    this.book = new ModelBook(random);
  }

  /** What the stream is handed as its WebSocket. */
  get webSocket(): new (url: string, protocols: string[]) => WebSocketLike {
    const server = this;
    return class extends ModelPeer {
      constructor() {
        super(server);
        server.peers.add(this);
        server.opened += 1;
      }
    };
  }

  trade(): void {
    this.log.add();
    for (const peer of this.peers) peer.live(LOG, this.log.push(this.log.top));
  }

  changeBook(): void {
    const delta = this.book.change();
    for (const peer of this.peers) peer.live(BOOK, delta);
  }

  beginAnew(): void {
    this.log.beginAnew(this.random.integer(0, 5));
    for (const peer of this.peers) peer.end(LOG);
  }

  heartbeat(): void {
    for (const peer of this.peers) peer.heartbeat();
  }

  /** Let some of what is under way arrive. */
  pump(): void {
    for (const peer of [...this.peers]) peer.pump(this.isHostile ? this.random.integer(0, 6) : 1_000);
  }
}

class ModelPeer implements WebSocketLike {
  readyState = 0;
  binaryType = "";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  private readonly server: ModelServer;
  private readonly toServer: Said[] = [];
  private readonly toClient: object[] = [];
  private readonly subscribed = new Set<string>();
  private isSignedIn = false;

  constructor(server: ModelServer) {
    this.server = server;
  }

  // What the client calls

  send(data: string | Uint8Array): void {
    this.toServer.push(JSON.parse(String(data)) as Said);
  }

  close(): void {
    this.readyState = 3;
    this.server.peers.delete(this);
  }

  // What the model calls

  live(channel: string, push: object): void {
    if (!this.subscribed.has(channel)) return;
    const { random, isHostile } = this.server;
    if (isHostile && random.chance(0.03)) return;
    this.tell(push);
    if (isHostile && random.chance(0.03)) this.tell(push);
  }

  /** The channel ends on the server's side. */
  end(channel: string): void {
    if (!this.subscribed.delete(channel)) return;
    this.tell({ op: "unsub", n: channel === LOG ? 1 : 2, ch: channel, code: "epoch_changed", detail: "", retry: true });
  }

  heartbeat(): void {
    if (!this.isSignedIn) return;
    const top = this.subscribed.has(LOG) ? { "1": this.server.log.top } : {};
    this.tell({ op: "hb", server_time: "", top, sources: {}, count: 0 });
  }

  drain(): void {
    if (this.isSignedIn) this.tell({ op: "drain", within_ms: 3_000, slot: this.server.random.integer(0, 500) });
  }

  cut(code: number): void {
    this.close();
    (this.onclose as ((event: { code: number; reason: string }) => void) | null)?.({ code, reason: "" });
  }

  pump(most: number): void {
    if (this.readyState === 0) {
      this.readyState = 1;
      (this.onopen as (() => void) | null)?.();
    }
    for (let count = 0; count < most && this.readyState === 1; count += 1) {
      if (this.toServer.length > 0 && (this.toClient.length === 0 || this.server.random.chance(0.5))) {
        this.hear(this.toServer.shift() as Said);
      } else if (this.toClient.length > 0) {
        this.deliver();
      }
    }
  }

  private deliver(): void {
    const many = this.toClient.splice(0, this.server.random.integer(1, 4));
    const data = JSON.stringify(many.length === 1 ? many[0] : many);
    (this.onmessage as ((event: { data: string }) => void) | null)?.({ data });
  }

  private tell(message: object): void {
    this.toClient.push(message);
  }

  private hear(said: Said): void {
    const { random, isHostile } = this.server;
    if (said.op === "auth") {
      this.isSignedIn = true;
      this.tell({ op: "welcome", conn: "con_1", hb_ms: 15_000, server_time: "", limits: { messages_per_second: 20 } });
    } else if (isHostile && random.chance(0.05)) {
      this.tell({ op: "error", code: "rate_limited", detail: "", retry: true, retry_after_ms: random.integer(0, 900) });
    } else if (said.op === "sub") this.begin(said);
    else if (said.op === "unsub") this.finish(said);
    else if (said.op === "resync") this.resync(said);
  }

  private begin(said: Said): void {
    const subs: object[] = [];
    const errs: object[] = [];
    const after: object[] = [];
    for (const asked of said.ch as readonly Asked[]) {
      if (this.subscribed.has(asked.ch)) {
        errs.push({ ch: asked.ch, code: "already_subscribed", detail: "", retry: false });
      } else if (this.server.isHostile && this.server.random.chance(0.1)) {
        errs.push({ ch: asked.ch, code: "channel_unavailable", detail: "", retry: true });
      } else {
        this.subscribed.add(asked.ch);
        subs.push(asked.ch === LOG ? this.openLog(asked, after) : this.openBook(after));
      }
    }
    this.tell({ id: said.id, subs, errs });
    for (const message of after) this.tell(message);
  }

  private openLog(asked: Asked, after: object[]): object {
    const { log } = this.server;
    const entry = { ch: LOG, n: 1, epoch: `e${log.epoch}`, seq: log.top };
    if (asked.from === undefined) return entry;
    const { epoch, seq } = asked.from;
    if (epoch !== `e${log.epoch}` || seq > log.top) return { ...entry, recovered: false, reason: "epoch" };
    if (seq < log.floor) return { ...entry, recovered: false, reason: "trimmed" };
    for (let next = seq + 1; next <= log.top; next += 1) after.push(log.push(next));
    return { ...entry, recovered: true, replay: log.top - seq };
  }

  private openBook(after: object[]): object {
    after.push(this.server.book.snapshot());
    return { ch: BOOK, n: 2, epoch: "", seq: this.server.book.reference.sequence };
  }

  private finish(said: Said): void {
    const errs: object[] = [];
    for (const channel of said.ch as readonly string[]) {
      if (!this.subscribed.delete(channel)) errs.push({ ch: channel, code: "not_subscribed", detail: "", retry: false });
    }
    this.tell({ id: said.id, unsubs: [], errs });
  }

  private resync(said: Said): void {
    if (this.subscribed.has(BOOK)) this.tell(this.server.book.snapshot());
    this.tell({ id: said.id, resyncs: said.ch, errs: [] });
  }
}

/** A WebSocket server on loopback (RFC 6455) that does what a test tells it, and nothing by itself. */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { decode, encode } from "../../src/msgpack.ts";
import { until } from "./clock.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;

export type Said = Record<string, unknown>;

export class TestServer {
  readonly peers: Peer[] = [];
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    server.on("upgrade", (request: IncomingMessage, socket: Socket) => this.peers.push(new Peer(request, socket)));
  }

  static async start(): Promise<TestServer> {
    const server = createServer((_, response) => response.writeHead(426).end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new TestServer(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/stream`;
  }

  /** The connection with this number, from 0 on, once it is there. */
  async peer(number: number): Promise<Peer> {
    await until(() => this.peers.length > number, `connection ${number}`);
    return this.peers[number] as Peer;
  }

  async stop(): Promise<void> {
    for (const peer of this.peers) peer.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** One client. Everything that it says is kept in `said`. */
export class Peer {
  readonly said: Said[] = [];
  readonly protocol: string;
  readonly path: string;
  closedWith: number | null = null;
  isGone = false;
  private readonly socket: Socket;
  private received = Buffer.alloc(0);

  constructor(request: IncomingMessage, socket: Socket) {
    this.socket = socket;
    this.path = request.url ?? "";
    this.protocol = String(request.headers["sec-websocket-protocol"]);
    const key = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64");
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    lines.push(`Sec-WebSocket-Accept: ${key}`, `Sec-WebSocket-Protocol: ${this.protocol}`, "", "");
    socket.write(lines.join("\r\n"));
    socket.on("data", (data) => this.read(data));
    socket.on("error", () => undefined);
    socket.on("close", () => (this.isGone = true));
  }

  private get isBinary(): boolean {
    return this.protocol === "agio.v1.msgpack";
  }

  tell(message: unknown): void {
    if (this.isBinary) this.write(BINARY, Buffer.from(encode(message)));
    else this.write(TEXT, Buffer.from(JSON.stringify(message)));
  }

  tellText(text: string): void {
    this.write(TEXT, Buffer.from(text));
  }

  welcome(members: object = {}): void {
    this.tell({ op: "welcome", conn: "con_1", hb_ms: 15_000, server_time: "2026-01-01T00:00:00Z", ...members });
  }

  close(code: number, reason = ""): void {
    const body = Buffer.alloc(2 + Buffer.byteLength(reason));
    body.writeUInt16BE(code);
    body.write(reason, 2);
    this.write(CLOSE, body);
    this.socket.end();
  }

  /** End the connection without a word. */
  cut(): void {
    this.socket.destroy();
  }

  asked(op: string): Said[] {
    return this.said.filter((message) => message["op"] === op);
  }

  /** The message number `count` of this kind, from 1 on, once it is there. */
  async hears(op: string, count = 1): Promise<Said> {
    await until(() => this.asked(op).length >= count, `${op} number ${count}`);
    return this.asked(op)[count - 1] as Said;
  }

  /** Answer the subscription number `count`; each channel gets the entry of its name. */
  async confirm(entries: Record<string, Said>, count = 1): Promise<Said> {
    const asked = await this.hears("sub", count);
    this.tell({ id: asked["id"], subs: Object.entries(entries).map(([ch, one]) => ({ ch, ...one })), errs: [] });
    return asked;
  }

  private read(data: Buffer): void {
    this.received = Buffer.concat([this.received, data]);
    for (let frame = this.next(); frame !== null; frame = this.next()) {
      if (frame.opcode === TEXT) this.said.push(JSON.parse(frame.payload.toString()) as Said);
      else if (frame.opcode === BINARY) this.said.push(decode(new Uint8Array(frame.payload)) as Said);
      else if (frame.opcode === CLOSE) this.closedBy(frame.payload);
    }
  }

  private closedBy(payload: Buffer): void {
    this.closedWith = payload.length >= 2 ? payload.readUInt16BE() : 1005;
    this.write(CLOSE, payload);
    this.socket.end();
  }

  /** The next whole frame; clients mask theirs and, in these tests, fragment none. */
  private next(): { opcode: number; payload: Buffer } | null {
    const bytes = this.received;
    if (bytes.length < 2) return null;
    const short = (bytes[1] as number) & 0x7f;
    const extra = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + extra + 4;
    if (bytes.length < start) return null;
    const length = extra === 2 ? bytes.readUInt16BE(2) : extra === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < start + length) return null;
    const mask = bytes.subarray(start - 4, start);
    const payload = Buffer.from(bytes.subarray(start, start + length));
    for (let index = 0; index < length; index += 1) payload[index]! ^= mask[index % 4] as number;
    this.received = bytes.subarray(start + length);
    return { opcode: (bytes[0] as number) & 0x0f, payload };
  }

  private write(opcode: number, payload: Buffer): void {
    if (this.socket.destroyed) return;
    const head =
      payload.length < 126
        ? Buffer.from([0x80 | opcode, payload.length])
        : Buffer.from([0x80 | opcode, 126, payload.length >> 8, payload.length & 0xff]);
    this.socket.write(Buffer.concat([head, payload]));
  }
}

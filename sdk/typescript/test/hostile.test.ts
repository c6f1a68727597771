import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { WebSocketLike } from "../src/socket.ts";
import { Stream } from "../src/stream.ts";
import { settle, TestClock } from "./support/clock.ts";
import { generator, type Generator } from "./support/random.ts";

const FRAMES: object[] = [
  { op: "welcome", conn: "c", hb_ms: 15_000, limits: { messages_per_second: 20, message_bytes: 65_536 } },
  { n: 1, q: 11, t: 1, d: { price: "1" } },
  { op: "snap", n: 2, q: 5, t: 1, d: { bids: [["1", "1"]], asks: [["2", "1"]] }, crc: 1 },
  { n: 2, q: 6, p: 5, t: 1, d: { bids: [["1", "0"]] }, crc: 7 },
  { n: 3, q: 1, t: 1, d: { asset: "USD" } },
  { id: 1, subs: [{ ch: "trades:X", n: 1, epoch: "e1", seq: 10 }], errs: [{ ch: "book:X", code: "x", retry: true }] },
  { id: 2, unsubs: ["trades:X"], errs: [] },
  { op: "hb", server_time: "", count: 1, top: { "1": 12 }, sources: { SIM: "live" } },
  { op: "skipped", n: 2, from: 5, to: 6 },
  { op: "unsub", n: 1, ch: "trades:X", code: "history_lost", detail: "", retry: true, retry_after_ms: 10 },
  { op: "error", code: "rate_limited", retry: true, retry_after_ms: 10 },
  { op: "error", id: 1, code: "invalid_operation", retry: false },
  { op: "reauth", expires_at: "" },
  { op: "drain", within_ms: 1, slot: 1 },
];
const JUNK: unknown[] = [null, true, -1, 1e300, 2 ** 53, "", "x", [], {}, [[]], ["trades:X"], { length: 1e9 }, "__proto__"];

/** A server that has nothing but bad intentions. */
class HostileSocket implements WebSocketLike {
  static current: HostileSocket | null = null;
  static opened = 0;
  readyState = 1;
  binaryType = "";
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;

  constructor() {
    HostileSocket.current = this;
    HostileSocket.opened += 1;
    queueMicrotask(() => (this.onopen as (() => void) | null)?.());
  }

  send(): void {}

  close(): void {
    this.readyState = 3;
  }

  tell(data: unknown): void {
    (this.onmessage as ((event: { data: unknown }) => void) | null)?.({ data });
  }
}

/** One of the server's messages with a member that is not what it should be. */
function spoilt(random: Generator): string {
  const frame = structuredClone(FRAMES[random.integer(0, FRAMES.length - 1)]) as Record<string, unknown>;
  let part = frame;
  for (let depth = random.integer(0, 2); depth >= 0; depth -= 1) {
    const names = Object.keys(part);
    const name = names[random.integer(0, names.length - 1)] ?? "op";
    const next = part[name];
    if (depth > 0 && typeof next === "object" && next !== null) part = next as Record<string, unknown>;
    else if (random.chance(0.7)) part[name] = structuredClone(JUNK[random.integer(0, JUNK.length - 1)]);
  }
  const text = JSON.stringify(random.chance(0.2) ? [frame, frame] : frame);
  return random.chance(0.05) ? text.slice(0, random.integer(0, text.length)) : text;
}

describe("a hostile server", () => {
  it("costs connections, never the stream, and never a storm of them", async () => {
    const random = generator(23);
    const clock = new TestClock();
    const faults: unknown[] = [];
    const stream = new Stream("ws://hostile/stream", () => "tkt", {
      clock,
      random: () => random.next(),
      webSocket: HostileSocket,
      onFault: (error) => faults.push(error),
    });
    const channels = ["trades:X", "book:X", "balances:X"];
    const follow = () => {
      for (const channel of channels) {
        try {
          stream.subscribe(channel, { onMessage: () => undefined });
        } catch {
          // It is subscribed still.
        }
      }
    };
    for (let round = 0; round < 4_000; round += 1) {
      follow();
      HostileSocket.current?.tell(spoilt(random));
      if (random.chance(0.02)) HostileSocket.current?.tell(random.chance(0.5) ? new ArrayBuffer(8) : undefined);
      await settle();
      await clock.advance(random.integer(0, 500));
    }
    assert.notEqual(stream.state, "closed");
    assert.deepEqual(faults, []);
    assert.ok(HostileSocket.opened > 10);
    assert.ok(HostileSocket.opened < clock.now() / 2_000, `${HostileSocket.opened} in ${clock.now()} ms`);
    stream.close();
    assert.equal(clock.pending, 0);
  });
});

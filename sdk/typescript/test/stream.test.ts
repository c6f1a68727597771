import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError, StreamClosed } from "../src/errors.ts";
import { Stream, type StreamState } from "../src/stream.ts";
import { FakeSocket } from "./fake_socket.ts";

const states: StreamState[] = [];
let stream: Stream;
let ticket: () => Promise<string>;

/** Let promises and microtasks finish. */
async function settle(ms = 0): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

function confirm(socket: FakeSocket, channel: string, n: number, seq: number, recovered = true): void {
  const asked = socket.asked("sub").at(-1) as { id: number };
  socket.tell({ id: asked.id, subs: [{ ch: channel, n, epoch: "e1", seq, recovered }], errs: [] });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.opened = [];
  states.length = 0;
  ticket = () => Promise.resolve("tkt_1");
  stream = new Stream("wss://host/stream", () => ticket(), { onState: (state) => states.push(state) });
});

afterEach(() => {
  stream.close();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("signing in", () => {
  it("sends the ticket first and asks for channels after the welcome", async () => {
    stream.subscribe("trades:X", { onMessage: () => undefined });
    await settle();
    const socket = FakeSocket.last;
    expect(socket.url).toBe("wss://host/stream");
    socket.welcome();
    await settle();
    expect(socket.sent).toEqual([
      { op: "auth", ticket: "tkt_1" },
      { id: 1, op: "sub", ch: [{ ch: "trades:X" }] },
    ]);
    confirm(socket, "trades:X", 5, 10);
    expect(states).toEqual(["resuming", "live"]);
  });

  it("gives up when the key is refused three times", async () => {
    ticket = () => Promise.reject(new ApiError(401, { code: "invalid_key", detail: "the key is revoked" }));
    const onError = vi.fn();
    stream.subscribe("trades:X", { onMessage: () => undefined, onError });
    await settle(120_000);
    expect(stream.state).toBe("closed");
    expect(onError.mock.calls[0]?.[0]).toBeInstanceOf(StreamClosed);
    expect(FakeSocket.opened).toHaveLength(0);
  });
});

describe("a log channel", () => {
  it("comes back at its position and delivers every message once", async () => {
    const seen: number[] = [];
    stream.subscribe("trades:X", { onMessage: ({ q }) => seen.push(q) });
    await settle();
    FakeSocket.last.welcome();
    await settle();
    confirm(FakeSocket.last, "trades:X", 5, 10);
    FakeSocket.last.tell([{ n: 5, q: 11, t: 1, d: {} }, { n: 5, q: 12, t: 2, d: {} }]);
    FakeSocket.last.end(1012);
    await settle(600);
    const second = FakeSocket.last;
    second.welcome();
    await settle();
    expect(second.asked("sub")[0]?.["ch"]).toEqual([{ ch: "trades:X", from: { epoch: "e1", seq: 12 } }]);
    confirm(second, "trades:X", 9, 14);
    second.tell([{ n: 9, q: 12, t: 2, d: {} }, { n: 9, q: 13, t: 3, d: {} }, { n: 9, q: 14, t: 4, d: {} }]);
    expect(seen).toEqual([11, 12, 13, 14]);
  });

  it("resumes when a message is missing", async () => {
    const seen: number[] = [];
    stream.subscribe("trades:X", { onMessage: ({ q }) => seen.push(q) });
    await settle();
    const socket = FakeSocket.last;
    socket.welcome();
    await settle();
    confirm(socket, "trades:X", 5, 10);
    socket.tell({ n: 5, q: 12, t: 1, d: {} });
    await settle();
    expect(socket.asked("unsub")[0]?.["ch"]).toEqual(["trades:X"]);
    expect(socket.asked("sub").at(-1)?.["ch"]).toEqual([{ ch: "trades:X", from: { epoch: "e1", seq: 10 } }]);
    confirm(socket, "trades:X", 5, 12);
    socket.tell([{ n: 5, q: 11, t: 1, d: {} }, { n: 5, q: 12, t: 1, d: {} }]);
    expect(seen).toEqual([11, 12]);
  });

  it("resumes when a heartbeat shows silent loss", async () => {
    stream.subscribe("trades:X", { onMessage: () => undefined });
    await settle();
    const socket = FakeSocket.last;
    socket.welcome();
    await settle();
    confirm(socket, "trades:X", 5, 10);
    socket.tell({ op: "hb", server_time: "2026-01-01T00:00:15Z", top: { "5": 11 }, sources: {} });
    await settle();
    expect(socket.asked("sub")).toHaveLength(2);
  });

  it("tells a gap when the server cannot recover it", async () => {
    const onGap = vi.fn();
    stream.subscribe("trades:X", { onMessage: () => undefined, onGap, position: { epoch: "e0", seq: 3 } });
    await settle();
    FakeSocket.last.welcome();
    await settle();
    confirm(FakeSocket.last, "trades:X", 5, 900, false);
    expect(onGap).toHaveBeenCalledWith("trades:X", 4, 900, false);
  });
});

describe("the connection", () => {
  it("is stale after two silent heartbeats and comes back", async () => {
    stream.subscribe("trades:X", { onMessage: () => undefined });
    await settle();
    FakeSocket.last.welcome();
    await settle(32_000);
    expect(states).toContain("stale");
    await settle(30_000);
    expect(FakeSocket.opened.length).toBeGreaterThan(1);
  });

  it("is not reopened when the close code forbids it", async () => {
    const onError = vi.fn();
    stream.subscribe("trades:X", { onMessage: () => undefined, onError });
    await settle();
    FakeSocket.last.welcome();
    FakeSocket.last.end(4502, "the key was revoked");
    await settle(120_000);
    expect(FakeSocket.opened).toHaveLength(1);
    expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: 4502, reason: "the key was revoked" });
  });

  it("waits as long as the server asks", async () => {
    stream.subscribe("trades:X", { onMessage: () => undefined });
    await settle();
    FakeSocket.last.end(1013, '{"retry_after_ms":30000}');
    await settle(29_000);
    expect(FakeSocket.opened).toHaveLength(1);
    await settle(2_000);
    expect(FakeSocket.opened).toHaveLength(2);
  });

  it("opens its replacement before a draining node goes", async () => {
    stream.subscribe("trades:X", { onMessage: () => undefined });
    await settle();
    const first = FakeSocket.last;
    first.welcome();
    await settle();
    confirm(first, "trades:X", 5, 10);
    first.tell({ op: "drain", within_ms: 3000, slot: 0 });
    await settle();
    expect(FakeSocket.opened).toHaveLength(2);
    expect(first.readyState).toBe(FakeSocket.OPEN);
    FakeSocket.last.welcome();
    await settle();
    expect(first.readyState).toBe(3);
    expect(FakeSocket.last.asked("sub")[0]?.["ch"]).toEqual([{ ch: "trades:X", from: { epoch: "e1", seq: 10 } }]);
  });
});

describe("a refusal", () => {
  it("ends the subscription, or is tried again when the server says so", async () => {
    const onError = vi.fn();
    stream.subscribe("orders:acc_x", { onMessage: () => undefined, onError });
    await settle();
    const socket = FakeSocket.last;
    socket.welcome();
    await settle();
    const refuse = (retry: boolean) => {
      const asked = socket.asked("sub").at(-1) as { id: number };
      socket.tell({ id: asked.id, subs: [], errs: [{ ch: "orders:acc_x", code: "channel_unavailable", retry }] });
    };
    refuse(true);
    await settle(5_000);
    expect(socket.asked("sub")).toHaveLength(2);
    expect(onError).not.toHaveBeenCalled();
    refuse(false);
    expect(onError).toHaveBeenCalledOnce();
  });
});

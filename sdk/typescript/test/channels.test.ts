import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { crc32 } from "../src/crc32.ts";
import { ChannelRefused, QueueOverflow } from "../src/errors.ts";
import type { Said } from "./support/server.ts";
import { settle, until } from "./support/clock.ts";
import { push, Scene, sequences, type Followed } from "./support/scene.ts";
import type { Peer } from "./support/server.ts";
import type { SubscriptionOptions } from "../src/subscription.ts";

let scene: Scene;

afterEach(() => scene.stop());

/** A stream with one channel that the server has confirmed. */
async function following(
  channel: string,
  answer: Said,
  options: SubscriptionOptions<unknown> = {},
): Promise<[Followed, Peer]> {
  scene = await Scene.start();
  const followed = scene.follow(channel, options);
  const peer = await scene.welcome(0);
  await peer.confirm({ [channel]: { n: 5, epoch: "e1", seq: 10, ...answer } });
  await scene.heard(peer);
  return [followed, peer];
}

const entries = (asked: Said) => (asked["ch"] as Said[])[0] as Said;

describe("a log channel", () => {
  it("comes back at its position and delivers every message once", async () => {
    const [trades, first] = await following("trades:X", {});
    first.tell([push(5, 11), push(5, 12)]);
    await scene.heard(first);
    first.close(4008, "the oldest message waited too long");
    await scene.ends(1);
    await scene.clock.advance(500);
    const second = await scene.welcome(1);
    const asked = await second.confirm({ "trades:X": { n: 9, epoch: "e1", seq: 14, recovered: true } });
    assert.deepEqual(asked["ch"], [{ ch: "trades:X", from: { epoch: "e1", seq: 12 } }]);
    second.tell([push(9, 12), push(9, 13), push(9, 14)]);
    await scene.heard(second);
    assert.deepEqual(sequences(trades), [11, 12, 13, 14]);
    assert.deepEqual(trades.gaps, []);
    assert.equal(trades.subscription.counters.duplicates, 1);
    assert.deepEqual(trades.subscription.position, { epoch: "e1", seq: 14 });
  });

  it("resumes when a message is missing, and ignores what came before the answer", async () => {
    const [trades, peer] = await following("trades:X", {});
    peer.tell([push(5, 12), push(5, 13)]);
    const asked = await peer.hears("sub", 2);
    assert.deepEqual((await peer.hears("unsub"))["ch"], ["trades:X"]);
    assert.deepEqual(entries(asked), { ch: "trades:X", from: { epoch: "e1", seq: 10 } });
    peer.tell(push(5, 11));
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 13, recovered: true } }, 2);
    peer.tell([push(5, 11), push(5, 12), push(5, 13)]);
    await scene.heard(peer);
    assert.deepEqual(sequences(trades), [11, 12, 13]);
    assert.equal(trades.subscription.counters.resyncs, 1);
  });

  it("resumes when a heartbeat shows silent loss", async () => {
    const [, peer] = await following("trades:X", {});
    peer.tell({ op: "hb", server_time: "", top: { "5": 11 }, sources: {} });
    await peer.hears("sub", 2);
  });

  it("tells a gap when the server cannot recover it, with the reason and where the rest is", async () => {
    const rest = "/api/market/X/trades?after_seq=3";
    const position = { epoch: "e1", seq: 3 };
    const answer = { seq: 900_000, recovered: false, reason: "too_far", rest };
    const [trades] = await following("trades:X", answer, { position });
    assert.deepEqual(trades.gaps, [
      { channel: "trades:X", from: 4, to: 900_000, epoch: "e1", recovered: false, reason: "too_far", rest },
    ]);
  });

  it("tells a gap when the log began anew", async () => {
    const answer = { epoch: "e2", seq: 7, recovered: false, reason: "epoch" };
    const [trades, peer] = await following("trades:X", answer, { position: { epoch: "e1", seq: 300 } });
    assert.deepEqual(trades.gaps, [
      { channel: "trades:X", from: 1, to: 7, epoch: "e2", recovered: false, reason: "epoch" },
    ]);
    peer.tell(push(5, 8));
    await scene.heard(peer);
    assert.deepEqual(sequences(trades), [8]);
  });

  it("starts in its history and goes on live", async () => {
    const start = "2026-01-31T12:00:00Z";
    const [trades, peer] = await following("trades:X", { first: 4, seq: 5, recovered: true, replay: 2 }, { start });
    assert.deepEqual(entries(peer.asked("sub")[0] as Said), { ch: "trades:X", start });
    peer.tell([push(5, 4), push(5, 5), push(5, 6)]);
    await scene.heard(peer);
    assert.deepEqual(sequences(trades), [4, 5, 6]);
    assert.deepEqual(trades.gaps, []);
  });

  it("says so when its history is not there", async () => {
    const answer = { first: 4, seq: 9, recovered: false, reason: "trimmed" };
    const [trades] = await following("trades:X", answer, { start: 4 });
    assert.deepEqual(trades.gaps, [{ channel: "trades:X", from: 4, to: 9, epoch: "e1", recovered: false, reason: "trimmed" }]);
  });

  it("comes back when the server ended it for a moment", async () => {
    const [, peer] = await following("trades:X", {});
    peer.tell({ op: "unsub", n: 5, ch: "trades:X", code: "history_lost", detail: "", retry: true });
    const asked = await peer.hears("sub", 2);
    assert.deepEqual(entries(asked), { ch: "trades:X", from: { epoch: "e1", seq: 10 } });
    assert.deepEqual(peer.asked("unsub"), []);
  });

  it("is not harmed by a fault of the application", async () => {
    const faults: unknown[] = [];
    scene = await Scene.start(() => "tkt_1", { onFault: (error) => faults.push(error) });
    const seen: number[] = [];
    scene.follow("trades:X", {
      onMessage: ({ q }) => {
        seen.push(q);
        if (q === 11) throw new Error("mine");
      },
    });
    const peer = await scene.welcome(0);
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    peer.tell([push(5, 11), push(5, 12)]);
    await scene.heard(peer);
    assert.deepEqual(seen, [11, 12]);
    assert.deepEqual(faults, [new Error("mine")]);
  });
});

describe("a book channel", () => {
  const levels = { bids: [["99", "1"]], asks: [["101", "2"]] };
  const checksum = crc32("1012" + "991");
  const snapshot = (q: number) => ({ op: "snap", n: 5, q, t: q, d: levels, crc: checksum });
  const delta = (p: number, q: number, crc: number, size = "3") => ({
    n: 5, q, p, t: q, d: { bids: [["99", size]] }, crc,
  });

  it("asks for a snapshot when a checksum does not hold, and says what it did not see", async () => {
    const [book, peer] = await following("book:X", {});
    peer.tell([snapshot(20), delta(20, 21, crc32("1012" + "993"))]);
    await scene.heard(peer);
    assert.equal(book.subscription.book?.isValid, true);
    peer.tell([delta(21, 22, 1, "4"), delta(22, 23, 1, "5")]);
    assert.deepEqual((await peer.hears("resync"))["ch"], ["book:X"]);
    await scene.heard(peer);
    assert.equal(book.subscription.book?.isValid, false);
    assert.equal(peer.asked("resync").length, 1);
    peer.tell(snapshot(24));
    await scene.heard(peer);
    assert.equal(book.subscription.book?.isValid, true);
    assert.deepEqual(sequences(book), [20, 21, 24]);
    assert.deepEqual(book.gaps, [
      { channel: "book:X", from: 22, to: 24, epoch: "", recovered: true, reason: "book_checksum" },
    ]);
  });

  it("asks for a snapshot when a change is missing", async () => {
    const [book, peer] = await following("book:X", {});
    peer.tell([snapshot(20), delta(21, 22, 1)]);
    await peer.hears("resync");
    peer.tell(snapshot(23));
    await scene.heard(peer);
    assert.deepEqual(book.gaps.map((gap) => [gap.from, gap.to, gap.reason]), [[21, 23, "book_gap"]]);
  });

  it("does not ask in a loop for a book that never holds", async () => {
    const [book, peer] = await following("book:X", {});
    const wrong = { ...snapshot(20), crc: 1 };
    for (let round = 0; round < 20; round += 1) {
      peer.tell(wrong);
      await scene.heard(peer);
      await scene.clock.advance(1_000);
    }
    const asked = peer.asked("resync").length;
    assert.ok(asked >= 2 && asked <= 7, String(asked));
    assert.deepEqual(book.messages, []);
  });

  it("tells what the server skipped, once", async () => {
    const [book, peer] = await following("book:X", {});
    peer.tell([snapshot(20)]);
    peer.tell({ op: "skipped", n: 5, from: 21, to: 40 });
    peer.tell([snapshot(44)]);
    await scene.heard(peer);
    assert.deepEqual(book.gaps, [{ channel: "book:X", from: 21, to: 40, epoch: "", recovered: true, reason: "skipped" }]);
  });
});

describe("a refusal", () => {
  const refuse = (peer: Peer, asked: Said, retry: boolean, code = "channel_unavailable") =>
    peer.tell({ id: asked["id"], subs: [], errs: [{ ch: "orders:acc_x", code, detail: "", retry }] });

  it("ends the subscription, or is tried again when the server says so", async () => {
    scene = await Scene.start();
    const { errors } = scene.follow("orders:acc_x");
    const peer = await scene.welcome(0);
    refuse(peer, await peer.hears("sub"), true);
    await scene.heard(peer);
    await scene.clock.advance(900);
    assert.equal(peer.asked("sub").length, 1);
    await scene.clock.advance(5_000);
    const asked = await peer.hears("sub", 2);
    assert.equal(errors.length, 0);
    refuse(peer, asked, false, "unknown_channel");
    await until(() => errors.length === 1);
    const [error] = errors;
    assert.ok(error instanceof ChannelRefused);
    assert.equal(error.code, "unknown_channel");
  });

  it("of a whole message is heard by each of its channels", async () => {
    scene = await Scene.start();
    const [a, b] = [scene.follow("orders:a"), scene.follow("orders:b")];
    const peer = await scene.welcome(0);
    const asked = await peer.hears("sub");
    peer.tell({ op: "error", id: asked["id"], code: "too_many_subscriptions", detail: "at most 0", retry: false });
    await until(() => a.errors.length === 1 && b.errors.length === 1);
  });

  it("because we have it already is settled by ending and beginning", async () => {
    scene = await Scene.start();
    scene.follow("orders:acc_x");
    const peer = await scene.welcome(0);
    refuse(peer, await peer.hears("sub"), false, "already_subscribed");
    await peer.hears("unsub");
    await peer.confirm({ "orders:acc_x": { n: 3, epoch: "e1", seq: 1 } }, 2);
    await until(() => scene.stream.state === "live");
  });
});

describe("iterating", () => {
  const iterated = (channel: string, options: SubscriptionOptions<unknown>) => {
    const gaps: number[] = [];
    const { onMessage: _, ...rest } = { onMessage: undefined, ...options };
    const subscription = scene.stream.subscribe<{ asset?: string }>(channel, {
      ...rest,
      onGap: (gap) => gaps.push(gap.from),
    });
    return { subscription, gaps };
  };

  async function confirmed(channel: string, options: SubscriptionOptions<unknown>) {
    scene = await Scene.start();
    const followed = iterated(channel, options);
    const peer = await scene.welcome(0);
    await peer.confirm({ [channel]: { n: 5, epoch: "e1", seq: 0 } });
    return { ...followed, peer };
  }

  it("ends after what waits when the subscription is closed", async () => {
    const { subscription, peer } = await confirmed("trades:X", {});
    peer.tell([push(5, 1), push(5, 2), push(5, 3)]);
    await scene.heard(peer);
    const seen: number[] = [];
    for await (const message of subscription) {
      seen.push(message.q);
      if (message.q === 2) subscription.close();
    }
    assert.deepEqual(seen, [1, 2, 3]);
    await peer.hears("unsub");
  });

  it("unsubscribes when the reader leaves the loop", async () => {
    const { subscription, peer } = await confirmed("trades:X", {});
    peer.tell(push(5, 1));
    for await (const message of subscription) {
      assert.equal(message.q, 1);
      break;
    }
    await peer.hears("unsub");
    assert.throws(() => subscription[Symbol.asyncIterator]());
  });

  it("throws when the stream is closed for good", async () => {
    const { subscription, peer } = await confirmed("trades:X", {});
    const next = subscription[Symbol.asyncIterator]().next();
    peer.close(4502, "revoked");
    await assert.rejects(next, /4502: revoked/);
  });

  it("ends when the stream is closed by us", async () => {
    const { subscription } = await confirmed("trades:X", {});
    const next = subscription[Symbol.asyncIterator]().next();
    scene.stream.close();
    assert.deepEqual(await next, { done: true, value: undefined });
  });

  it("with `pause` gives the channel back when the queue is full, and loses nothing", async () => {
    const { subscription, gaps, peer } = await confirmed("trades:X", { limit: 4 });
    peer.tell(Array.from({ length: 9 }, (_, index) => push(5, index + 1)));
    await peer.hears("unsub");
    assert.equal(subscription.waiting, 4);
    const reader = subscription[Symbol.asyncIterator]();
    const seen = [(await reader.next()).value?.q, (await reader.next()).value?.q];
    const asked = await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 9, recovered: true } }, 2);
    assert.deepEqual(entries(asked)["from"], { epoch: "e1", seq: 4 });
    peer.tell([push(5, 5), push(5, 6)]);
    for (let count = 0; count < 4; count += 1) seen.push((await reader.next()).value?.q);
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(gaps, []);
  });

  it("with `drop_oldest` says what a log lost", async () => {
    const { subscription, gaps, peer } = await confirmed("trades:X", { limit: 2, whenFull: "drop_oldest" });
    peer.tell(Array.from({ length: 5 }, (_, index) => push(5, index + 1)));
    await scene.heard(peer);
    assert.deepEqual(gaps, [1, 2, 3]);
    assert.equal(subscription.counters.dropped, 3);
    assert.equal((await subscription[Symbol.asyncIterator]().next()).value?.q, 4);
  });

  it("with `latest` keeps the newest of each key", async () => {
    const { subscription, gaps, peer } = await confirmed("balances:acc_x", {});
    peer.tell(["USD", "BTC", "USD", "USD"].map((asset, index) => push(5, index + 1, { asset })));
    await scene.heard(peer);
    const reader = subscription[Symbol.asyncIterator]();
    const seen = [await reader.next(), await reader.next()].map(({ value }) => [value?.q, value?.data.asset]);
    assert.deepEqual(seen, [[2, "BTC"], [4, "USD"]]);
    assert.deepEqual(gaps, []);
  });

  it("with `fail` ends with an error after what waits", async () => {
    const { subscription, peer } = await confirmed("trades:X", { limit: 1, whenFull: "fail" });
    peer.tell([push(5, 1), push(5, 2)]);
    await scene.heard(peer);
    const reader = subscription[Symbol.asyncIterator]();
    assert.equal((await reader.next()).value?.q, 1);
    await assert.rejects(reader.next(), QueueOverflow);
    assert.equal((await reader.next()).done, true);
    await settle();
  });
});

import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { ApiError, StreamClosed } from "../src/errors.ts";
import { Stream } from "../src/stream.ts";
import type { StreamOptions } from "../src/stream_options.ts";
import { settle, until } from "./support/clock.ts";
import { push, Scene, sequences } from "./support/scene.ts";

let scene: Scene;

async function start(credential?: () => Promise<string> | string, options?: StreamOptions): Promise<Scene> {
  scene = await Scene.start(credential, options);
  return scene;
}

afterEach(() => scene.stop());

describe("signing in", () => {
  it("says who it is in its first message and asks for channels after the welcome", async () => {
    await start();
    scene.follow("trades:X");
    scene.follow("quotes:X", { tier: "100ms" });
    scene.follow("book:X", { depth: 25 });
    const peer = await scene.welcome(0);
    await peer.hears("sub");
    assert.equal(peer.path, "/stream");
    assert.equal(peer.protocol, "agio.v1.json");
    assert.deepEqual(peer.said, [
      { op: "auth", ticket: "tkt_1" },
      { id: 1, op: "sub", ch: [{ ch: "trades:X" }, { ch: "quotes:X", tier: "100ms" }, { ch: "book:X", depth: 25 }] },
    ]);
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    await until(() => scene.stream.state === "live");
    assert.deepEqual(scene.states, ["resuming", "live"]);
  });

  it("gives up when the key is refused three times", async () => {
    let asked = 0;
    await start(() => {
      asked += 1;
      return Promise.reject(new ApiError(401, { code: "unauthorized", detail: "the key is revoked" }));
    });
    const { errors } = scene.follow("trades:X");
    await settle();
    await scene.clock.advance(120_000);
    assert.equal(asked, 3);
    assert.equal(scene.stream.state, "closed");
    assert.ok(errors[0] instanceof StreamClosed);
    assert.throws(() => scene.stream.subscribe("trades:Y"), StreamClosed);
    assert.equal(scene.clock.pending, 0);
  });

  it("asks again and again while the server is merely away, never sooner than it is told to", async () => {
    const answers = [new Error("no route"), new ApiError(503, { code: "overloaded" }, 30)];
    await start(() => {
      const answer = answers.shift();
      return answer === undefined ? "tkt_3" : Promise.reject(answer);
    });
    scene.follow("trades:X");
    await settle();
    await scene.clock.advance(29_000);
    assert.equal(scene.server.peers.length, 0);
    await scene.clock.advance(3_000);
    assert.deepEqual(await (await scene.server.peer(0)).hears("auth"), { op: "auth", ticket: "tkt_3" });
  });

  it("tries another ticket when one was refused, but not for ever", async () => {
    await start();
    const { errors } = scene.follow("trades:X");
    for (let number = 0; number < 3; number += 1) {
      const peer = await scene.server.peer(number);
      await peer.hears("auth");
      peer.close(4501, "Unauthorized");
      await scene.ends(number + 1);
      await scene.clock.advance(9_000);
    }
    await until(() => scene.stream.state === "closed");
    assert.equal((errors[0] as StreamClosed).code, 4501);
  });

  it("renews its credential when the server asks", async () => {
    let number = 0;
    await start(() => `tkt_${(number += 1)}`);
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    peer.tell({ op: "reauth", expires_at: "2026-01-01T00:01:00Z" });
    assert.deepEqual(await peer.hears("auth", 2), { op: "auth", ticket: "tkt_2" });
  });

  it("tries the renewal again when no credential can be had just now", async () => {
    const answers = [() => "tkt_1", () => Promise.reject(new Error("no route")), () => "tkt_3"];
    await start(() => (answers.shift() as () => string)());
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    peer.tell({ op: "reauth", expires_at: "2026-01-01T00:01:00Z" });
    await until(() => answers.length === 1);
    await settle();
    await scene.clock.advance(5_000);
    assert.deepEqual(await peer.hears("auth", 2), { op: "auth", ticket: "tkt_3" });
  });
});

describe("the connection", () => {
  it("is stale when it is silent, is asked for a sign of life, and comes back", async () => {
    await start();
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    await until(() => scene.stream.state === "live");
    await scene.clock.advance(24_000);
    assert.equal(scene.stream.state, "stale");
    await peer.hears("ping");
    peer.tell({ op: "pong", server_time: "2026-01-01T00:00:24Z" });
    await until(() => scene.stream.state === "live");
    await scene.clock.advance(31_000);
    assert.deepEqual(scene.states.slice(2), ["stale", "live", "stale", "connecting"]);
    await scene.clock.advance(1_000);
    await scene.server.peer(1);
  });

  it("does not wait for a welcome for ever", async () => {
    await start();
    scene.follow("trades:X");
    await (await scene.server.peer(0)).hears("auth");
    await scene.clock.advance(11_000);
    await scene.server.peer(1);
  });

  it("is left when a request stays without an answer", async () => {
    await start();
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    await peer.hears("sub");
    for (let waited = 0; waited < 32; waited += 8) {
      await scene.heard(peer);
      await scene.clock.advance(8_000);
    }
    await scene.server.peer(1);
  });

  it("is not reopened when the close code forbids it", async () => {
    await start();
    const { errors } = scene.follow("trades:X");
    const peer = await scene.welcome(0);
    peer.close(4502, "the key was revoked");
    await until(() => errors.length > 0);
    assert.deepEqual([(errors[0] as StreamClosed).code, (errors[0] as StreamClosed).reason], [4502, "the key was revoked"]);
    await scene.clock.advance(120_000);
    assert.equal(scene.server.peers.length, 1);
  });

  it("waits as long as the server asks", async () => {
    await start();
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    peer.close(1013, '{"retry_after_ms":30000}');
    await scene.ends(1);
    await scene.clock.advance(29_000);
    assert.equal(scene.server.peers.length, 1);
    await scene.clock.advance(2_000);
    await scene.server.peer(1);
  });

  it("is replaced when what it says cannot be read, carefully", async () => {
    await start();
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    peer.tellText('{"n":');
    await scene.ends(1);
    await scene.clock.advance(4_000);
    assert.equal(scene.server.peers.length, 1);
    await scene.clock.advance(2_000);
    await scene.server.peer(1);
  });

  it("closes once, cleanly, and leaves no timer behind", async () => {
    await start();
    const { errors } = scene.follow("trades:X");
    const peer = await scene.welcome(0);
    await peer.hears("sub");
    scene.stream.close();
    scene.stream.close();
    await until(() => peer.closedWith !== null);
    assert.equal(peer.closedWith, 1000);
    assert.equal(scene.clock.pending, 0);
    assert.deepEqual(errors, []);
  });

  it("says at once that an address is none", async () => {
    await start();
    const closed: StreamClosed[] = [];
    const stream = new Stream("nothing", () => "tkt", { onClosed: (error) => closed.push(error) });
    stream.subscribe("trades:X");
    await until(() => closed.length > 0);
    assert.equal(stream.state, "closed");
  });
});

describe("a draining node", () => {
  it("is left only when everything is resumed elsewhere, with nothing lost or twice", async () => {
    await start();
    const trades = scene.follow("trades:X");
    const first = await scene.welcome(0);
    await first.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    first.tell(push(5, 11));
    first.tell({ op: "drain", within_ms: 3_000, slot: 200 });
    await scene.heard(first);
    assert.equal(trades.messages.length, 1);
    assert.equal(scene.server.peers.length, 1);
    await scene.clock.advance(200);
    const second = await scene.welcome(1);
    const asked = await second.hears("sub");
    assert.deepEqual(asked["ch"], [{ ch: "trades:X", from: { epoch: "e1", seq: 11 } }]);
    first.tell(push(5, 12));
    await until(() => trades.messages.length === 2);
    await second.confirm({ "trades:X": { n: 8, epoch: "e1", seq: 13, recovered: true } });
    await until(() => first.closedWith === 1000);
    second.tell([push(8, 12), push(8, 13)]);
    await until(() => trades.messages.length === 3);
    assert.deepEqual(sequences(trades), [11, 12, 13]);
    assert.deepEqual(trades.gaps, []);
    assert.deepEqual(scene.states, ["resuming", "live"]);
  });

  it("that goes before the other one is ready costs nothing but time", async () => {
    await start();
    const trades = scene.follow("trades:X");
    const first = await scene.welcome(0);
    await first.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    first.tell({ op: "drain", within_ms: 3_000, slot: 0 });
    await scene.heard(first);
    assert.equal(scene.stream.state, "live");
    await scene.clock.advance(0);
    const second = await scene.server.peer(1);
    first.close(1012, "restart");
    await scene.ends(1);
    await second.hears("auth");
    second.welcome();
    await second.confirm({ "trades:X": { n: 8, epoch: "e1", seq: 11, recovered: true } });
    second.tell(push(8, 11));
    await until(() => trades.messages.length === 1);
    await scene.clock.advance(20_000);
    assert.equal(scene.server.peers.length, 2);
  });
});

describe("requests", () => {
  it("of one turn go out together, and what is taken back at once never goes out", async () => {
    await start();
    scene.follow("trades:A");
    const peer = await scene.welcome(0);
    await peer.confirm({ "trades:A": { n: 1, epoch: "e1", seq: 0 } });
    await until(() => scene.stream.state === "live");
    const [b, c] = [scene.follow("trades:B"), scene.follow("trades:C")];
    scene.follow("quotes:D");
    c.subscription.close();
    const asked = await peer.hears("sub", 2);
    assert.deepEqual(asked["ch"], [{ ch: "trades:B" }, { ch: "quotes:D" }]);
    b.subscription.close();
    assert.deepEqual((await peer.hears("unsub"))["ch"], ["trades:B"]);
  });

  it("keep below the server's rate", async () => {
    await start();
    scene.follow("trades:A");
    const peer = await scene.welcome(0, { limits: { messages_per_second: 20, message_bytes: 65_536 } });
    for (let number = 0; number < 40; number += 1) {
      const followed = scene.follow(`quotes:S${number}`);
      await settle();
      followed.subscription.close();
      await settle();
    }
    const sentAtOnce = peer.asked("sub").length + peer.asked("unsub").length;
    assert.ok(sentAtOnce <= 10, String(sentAtOnce));
    await scene.clock.advance(2_000);
    await scene.heard(peer);
    const total = peer.asked("sub").length + peer.asked("unsub").length;
    assert.ok(total <= 10 + 2 * 16, String(total));
  });

  it("are repeated when the server left them out, after the silence it asks for", async () => {
    await start();
    scene.follow("trades:X");
    const peer = await scene.welcome(0);
    await peer.hears("sub");
    peer.tell({ op: "error", code: "rate_limited", detail: "slow down", retry: true, retry_after_ms: 2_000 });
    await scene.heard(peer);
    await scene.clock.advance(1_900);
    assert.equal(peer.asked("sub").length, 1);
    await scene.clock.advance(1_000);
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } }, 2);
    assert.deepEqual(peer.asked("unsub")[0]?.["ch"], ["trades:X"]);
    await until(() => scene.stream.state === "live");
  });

  it("are cut into messages that the server accepts", async () => {
    await start();
    for (let number = 0; number < 600; number += 1) scene.follow(`orders:acc_${"x".repeat(60)}${number}`);
    const peer = await scene.welcome(0, { limits: { messages_per_second: 20, message_bytes: 16_384 } });
    await peer.hears("sub", 5);
    for (const asked of peer.asked("sub")) assert.ok(JSON.stringify(asked).length < 16_384);
  });
});

describe("MessagePack", () => {
  it("says and hears the same", async () => {
    await start(() => "tkt_1", { encoding: "msgpack" });
    const trades = scene.follow("trades:X");
    const peer = await scene.welcome(0);
    assert.equal(peer.protocol, "agio.v1.msgpack");
    await peer.confirm({ "trades:X": { n: 5, epoch: "e1", seq: 10 } });
    peer.tell([push(5, 11, { price: "1640.25", id: null }), push(5, 12, { price: "1640.50", id: "é" })]);
    await until(() => trades.messages.length === 2);
    assert.deepEqual(trades.messages.map((message) => message.data), [
      { price: "1640.25", id: null },
      { price: "1640.50", id: "é" },
    ]);
  });
});

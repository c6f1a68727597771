import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Gap } from "../src/continuity.ts";
import { Stream } from "../src/stream.ts";
import type { Subscription } from "../src/subscription.ts";
import { settle, TestClock } from "./support/clock.ts";
import { BOOK, LOG, ModelServer } from "./support/model.ts";
import { generator, type Generator } from "./support/random.ts";

const SEEDS = 120;
const STEPS = 150;
const CLOSE_CODES = [1006, 1012, 1011, 4008, 4010, 4011, 4440];

interface Trade {
  readonly epoch: number;
  readonly seq: number;
}

/** A stream in a hostile world, and what its application was told. */
class Run {
  readonly clock = new TestClock();
  readonly random: Generator;
  readonly server: ModelServer;
  readonly stream: Stream;
  readonly trades: Trade[] = [];
  readonly gaps: Gap[] = [];
  readonly book: Subscription<unknown>;

  constructor(seed: number) {
    this.random = generator(seed);
    this.server = new ModelServer(generator(seed + 1_000_000));
    const { clock, random, server } = this;
    this.stream = new Stream("ws://model/stream", () => "tkt", {
      clock,
      random: () => random.next(),
      webSocket: server.webSocket,
    });
    const onGap = (gap: Gap) => this.gaps.push(gap);
    if (random.chance(0.5)) {
      this.stream.subscribe<Trade>(LOG, { onGap, onMessage: ({ data }) => this.trades.push(data) });
    } else {
      void this.read(this.stream.subscribe<Trade>(LOG, { onGap, limit: 5 }));
    }
    this.book = this.stream.subscribe(BOOK, { onMessage: ({ q }) => this.checkBook(q) });
  }

  async hostilities(): Promise<void> {
    for (let step = 0; step < STEPS; step += 1) {
      this.strike();
      this.server.pump();
      await settle();
      await this.clock.advance(this.random.integer(0, this.random.chance(0.05) ? 9_000 : 300));
    }
  }

  async peace(): Promise<void> {
    this.server.isHostile = false;
    for (let step = 0; step < 60; step += 1) {
      if (step % 10 === 0) this.server.heartbeat();
      if (step === 40) this.server.changeBook();
      this.server.pump();
      await settle();
      await this.clock.advance(1_000);
    }
  }

  private strike(): void {
    const { random, server } = this;
    for (let count = random.integer(0, 3); count > 0; count -= 1) server.trade();
    if (random.chance(0.5)) server.changeBook();
    if (random.chance(0.05)) server.heartbeat();
    if (random.chance(0.01)) server.beginAnew();
    if (random.chance(0.02)) server.log.floor = Math.max(0, server.log.top - random.integer(0, 20));
    for (const peer of [...server.peers]) {
      if (random.chance(0.03)) peer.cut(CLOSE_CODES[random.integer(0, CLOSE_CODES.length - 1)] as number);
      else if (random.chance(0.02)) peer.drain();
      else if (random.chance(0.01)) peer.end(random.chance(0.5) ? LOG : BOOK);
    }
  }

  /** A reader who is sometimes slow. */
  private async read(subscription: Subscription<Trade>): Promise<void> {
    for await (const message of subscription) {
      this.trades.push(message.data);
      if (this.random.chance(0.2)) await new Promise<void>((resolve) => this.clock.after(200, resolve));
    }
  }

  private checkBook(sequence: number): void {
    const { book } = this.book;
    assert.equal(book?.isValid, true);
    assert.equal(book?.checksum(), this.server.book.sums.get(sequence), `book at ${sequence}`);
  }
}

/** Each message once and in order; what was left out, of whatever epoch, was told as a gap. */
function checkLog(run: Run): void {
  const { log } = run.server;
  const told = new Set<string>();
  for (const gap of run.gaps) for (let seq = gap.from; seq <= gap.to; seq += 1) told.add(`${gap.epoch}/${seq}`);
  const end = { epoch: log.epoch, seq: log.top + 1 };
  let last: Trade | null = null;
  for (const one of [...run.trades, end]) {
    if (last !== null) {
      assert.ok(one.epoch > last.epoch || (one.epoch === last.epoch && one.seq > last.seq), JSON.stringify([last, one]));
      for (let seq = one.epoch === last.epoch ? last.seq + 1 : 1; seq < one.seq; seq += 1) {
        assert.ok(told.has(`e${one.epoch}/${seq}`), `${seq} between ${JSON.stringify([last, one])} is missing`);
      }
    }
    last = one;
  }
}

describe("continuity", () => {
  it(`holds in ${SEEDS} random worlds: loss, repetition, cuts, drains, limits, epochs, slow readers`, async () => {
    let gaps = 0;
    let connections = 0;
    let messages = 0;
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const run = new Run(seed);
      try {
        await run.hostilities();
        await run.peace();
        checkLog(run);
        assert.equal(run.stream.state, "live");
        const { book } = run.server;
        assert.deepEqual(run.book.book?.bids(100), book.reference.bids(100));
        assert.deepEqual(run.book.book?.asks(100), book.reference.asks(100));
        run.stream.close();
        assert.equal(run.clock.pending, 0);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      gaps += run.gaps.length;
      messages += run.trades.length;
      connections += run.server.opened;
    }
    // The worlds were hostile enough to mean something.
    assert.ok(connections > SEEDS * 4, String(connections));
    assert.ok(gaps > SEEDS / 4, String(gaps));
    assert.ok(messages > SEEDS * 100, String(messages));
  });
});

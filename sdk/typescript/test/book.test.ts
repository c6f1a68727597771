import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Book } from "../src/book.ts";
import { crc32 } from "../src/crc32.ts";
import { generator } from "./support/random.ts";

describe("crc32", () => {
  it("gives the check value of the standard", () => {
    assert.equal(crc32("123456789"), 0xcbf43926);
  });
});

describe("Book", () => {
  const snapshot = {
    bids: [["99.50", "1.00"], ["99.00", "2.00"]],
    asks: [["100.00", "0.50"], ["100.50", "3.00"]],
  } as const;
  // Digits without points and leading zeros: asks best first, then bids best first.
  const checksum = crc32("10000" + "50" + "10050" + "300" + "9950" + "100" + "9900" + "200");

  it("accepts a snapshot whose checksum holds", () => {
    const book = new Book("X");
    assert.equal(book.load(snapshot, 7, checksum), true);
    assert.deepEqual(book.bids()[0], { price: "99.50", size: "1.00" });
    assert.deepEqual(book.asks().map((level) => level.price), ["100.00", "100.50"]);
  });

  it("gives the checksum of Kraken's documentation", () => {
    const asks = [
      ["0.05005", "0.00000500"], ["0.05010", "0.00000500"], ["0.05015", "0.00000500"], ["0.05020", "0.00000500"],
      ["0.05025", "0.00000500"], ["0.05030", "0.00000500"], ["0.05035", "0.00000500"], ["0.05040", "0.00000500"],
      ["0.05045", "0.00000500"], ["0.05050", "0.00000500"],
    ] as const;
    const bids = [
      ["0.05000", "0.00000500"], ["0.04995", "0.00000500"], ["0.04990", "0.00000500"], ["0.04980", "0.00000500"],
      ["0.04975", "0.00000500"], ["0.04970", "0.00000500"], ["0.04965", "0.00000500"], ["0.04960", "0.00000500"],
      ["0.04955", "0.00000500"], ["0.04950", "0.00000500"],
    ] as const;
    assert.equal(new Book("X").load({ asks, bids }, 1, 974947235), true);
  });

  it("applies deltas, removes levels of size 0, and treats equal prices as one", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    assert.equal(book.apply({ bids: [["99.5", "0"]], asks: [["99.75", "1.00"]] }, 8, 7, undefined), true);
    assert.deepEqual(book.bids(), [{ price: "99.00", size: "2.00" }]);
    assert.deepEqual(book.asks()[0], { price: "99.75", size: "1.00" });
  });

  it("tells prices apart that floating point cannot", () => {
    const book = new Book("X");
    const bids = [["9007199254740993.1", "1"], ["9007199254740993.2", "2"], ["9007199254740992.9", "3"]] as const;
    book.load({ bids }, 1, undefined);
    assert.deepEqual(book.bids().map((level) => level.size), ["2", "1", "3"]);
  });

  it("is invalid after a gap until the next snapshot", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    assert.equal(book.apply({ bids: [] }, 10, 9, undefined), false);
    assert.equal(book.apply({ bids: [] }, 11, 7, undefined), false);
    assert.equal(book.load(snapshot, 12, checksum), true);
  });

  it("is invalid after a wrong checksum, and after a level that is none", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    assert.equal(book.apply({ asks: [["100.00", "0.75"]] }, 8, 7, checksum), false);
    assert.equal(book.isValid, false);
    book.load(snapshot, 9, checksum);
    assert.throws(() => book.apply({ asks: [["1e2", "1"]] }, 10, 9, undefined), RangeError);
    assert.equal(book.isValid, false);
  });

  it("stays equal to a plain table of levels under random changes", () => {
    const random = generator(7);
    const table = new Map<number, number>();
    const book = new Book("X");
    book.load({}, 0, undefined);
    for (let step = 1; step <= 2_000; step += 1) {
      const price = random.integer(1, 60);
      const size = random.integer(0, 3);
      if (size === 0) table.delete(price);
      else table.set(price, size);
      // The same price is written with different numbers of decimals.
      book.apply({ bids: [[(price / 4).toFixed(random.integer(2, 5)), String(size)]] }, step, step - 1, undefined);
      const wanted = [...table].sort(([left], [right]) => right - left).slice(0, 10);
      assert.deepEqual(book.bids().map((level) => [Number(level.price) * 4, Number(level.size)]), wanted);
    }
  });
});

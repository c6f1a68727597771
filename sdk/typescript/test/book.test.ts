import { describe, expect, it } from "vitest";
import { Book } from "../src/book.ts";
import { crc32 } from "../src/crc32.ts";

describe("crc32", () => {
  it("gives the check value of the standard", () => {
    expect(crc32("123456789")).toBe(0xcbf43926);
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
    expect(book.load(snapshot, 7, checksum)).toBe(true);
    expect(book.bids()[0]).toEqual({ price: "99.50", size: "1.00" });
    expect(book.asks().map((level) => level.price)).toEqual(["100.00", "100.50"]);
  });

  it("applies deltas, removes levels of size 0, and treats equal prices as one", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    expect(book.apply({ bids: [["99.5", "0"]], asks: [["99.75", "1.00"]] }, 8, 7, undefined)).toBe(true);
    expect(book.bids()).toEqual([{ price: "99.00", size: "2.00" }]);
    expect(book.asks()[0]).toEqual({ price: "99.75", size: "1.00" });
  });

  it("is invalid after a gap until the next snapshot", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    expect(book.apply({ bids: [] }, 10, 9, undefined)).toBe(false);
    expect(book.apply({ bids: [] }, 11, 7, undefined)).toBe(false);
    expect(book.load(snapshot, 12, checksum)).toBe(true);
  });

  it("is invalid after a wrong checksum", () => {
    const book = new Book("X");
    book.load(snapshot, 7, checksum);
    expect(book.apply({ asks: [["100.00", "0.75"]] }, 8, 7, checksum)).toBe(false);
    expect(book.isValid).toBe(false);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decode, encode, InvalidMessagePack } from "../src/msgpack.ts";
import { generator, type Generator } from "./support/random.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const hex = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

function anyValue(random: Generator, depth: number): unknown {
  switch (random.integer(0, depth > 4 ? 5 : 7)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.integer(-(2 ** random.integer(0, 52)), 2 ** random.integer(0, 52));
    case 3:
      return random.next() * 1e9;
    case 4:
      return "aéλ𝄞".repeat(random.integer(0, 40));
    case 5:
      return "x".repeat(random.integer(0, 3) * 120);
    case 6:
      return Array.from({ length: random.integer(0, 20) }, () => anyValue(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.integer(0, 18) }, (_, index) => [`k${index}`, anyValue(random, depth + 1)]),
      );
  }
}

describe("decode", () => {
  it("reads the shortest and the longest forms of the specification", () => {
    const cases: [string, unknown][] = [
      ["c0", null], ["c2", false], ["c3", true], ["00", 0], ["7f", 127], ["ff", -1], ["e0", -32],
      ["cc80", 128], ["cd0100", 256], ["ce00010000", 65_536], ["cf0000000100000000", 4_294_967_296],
      ["cfffffffffffffffff", 18_446_744_073_709_551_615n], ["d080", -128], ["d18000", -32_768],
      ["d280000000", -2_147_483_648], ["d38000000000000000", -9_223_372_036_854_775_808n],
      ["d3ffe0000000000001", -9_007_199_254_740_991], ["ca3fc00000", 1.5], ["cb3ff8000000000000", 1.5],
      ["a0", ""], ["a3616263", "abc"], ["d903616263", "abc"], ["da0003616263", "abc"], ["db00000003616263", "abc"],
      ["a2c3a9", "é"], ["90", []], ["920102", [1, 2]], ["dc00020102", [1, 2]], ["dd000000020102", [1, 2]],
      ["80", {}], ["81a16101", { a: 1 }], ["de0001a16101", { a: 1 }], ["df00000001a16101", { a: 1 }],
      ["c4020102", bytes(1, 2)], ["c500020102", bytes(1, 2)], ["c6000000020102", bytes(1, 2)],
    ];
    for (const [text, value] of cases) assert.deepEqual(decode(hex(text)), value, text);
  });

  it("refuses everything else", () => {
    const wrong = [
      "", "c1", "d40000", "c7010000", "a3616", "a36162", "92" + "01", "81a161", "8101c0", "cb3ff8", "00" + "00",
      "a1ff", "d901", "ddffffffff", "dfffffffff", "c6ffffffff", "dbffffffff", "91".repeat(100) + "c0",
    ];
    for (const text of wrong) assert.throws(() => decode(hex(text)), InvalidMessagePack, text.slice(0, 20));
  });

  it("makes a member of __proto__, not a prototype", () => {
    const value = decode(encode(JSON.parse('{"__proto__":{"isAdmin":true}}'))) as Record<string, unknown>;
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.equal((value as { isAdmin?: boolean }).isAdmin, undefined);
    assert.deepEqual(Object.keys(value), ["__proto__"]);
  });

  it("survives random bytes and broken messages: a value or InvalidMessagePack, nothing else", () => {
    const random = generator(11);
    for (let round = 0; round < 5_000; round += 1) {
      const input = random.chance(0.5)
        ? Uint8Array.from({ length: random.integer(0, 40) }, () => random.integer(0, 255))
        : encode(anyValue(random, 3));
      if (input.length > 0 && random.chance(0.8)) input[random.integer(0, input.length - 1)] = random.integer(0, 255);
      try {
        decode(random.chance(0.3) ? input.subarray(0, random.integer(0, input.length)) : input);
      } catch (error) {
        assert.ok(error instanceof InvalidMessagePack, String(error));
      }
    }
  });
});

describe("encode", () => {
  it("is undone by decode, for any value that JSON has", () => {
    const random = generator(3);
    for (let round = 0; round < 200; round += 1) {
      const value = anyValue(random, 0);
      assert.deepEqual(decode(encode(value)), value);
    }
    assert.deepEqual(decode(encode({ a: undefined, b: 1n, c: bytes(9) })), { b: 1, c: bytes(9) });
  });

  it("refuses what has no form", () => {
    assert.throws(() => encode(() => undefined), TypeError);
    assert.throws(() => encode(2n ** 64n), RangeError);
    const loop: unknown[] = [];
    loop.push(loop);
    assert.throws(() => encode(loop), RangeError);
  });
});

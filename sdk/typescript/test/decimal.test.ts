import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as decimal from "../src/decimal.ts";

const text = (value: decimal.Decimal) => decimal.format(value);

describe("decimal", () => {
  it("reads plain decimals only", () => {
    assert.equal(text(decimal.of("-0012.340")), "-12.340");
    for (const wrong of ["", "1e3", " 1", "+1", "1.", ".5", "NaN", "1,000", "1_000"]) {
      assert.equal(decimal.parse(wrong), null);
    }
  });

  it("is exact where floating point is not", () => {
    assert.equal(text(decimal.add(decimal.of("0.1"), decimal.of("0.2"))), "0.3");
    const product = decimal.multiply(decimal.of("90071992547409.93"), decimal.of("1.0000000001"));
    assert.equal(text(product), "90071992556417.129254740993");
  });

  it("rounds as it is told", () => {
    const rounded = (value: string, rounding: decimal.Rounding) =>
      text(decimal.rescale(decimal.of(value), 2, rounding));
    assert.equal(rounded("0.060035", "up"), "0.07");
    assert.equal(rounded("0.069", "down"), "0.06");
    assert.equal(rounded("0.125", "half_even"), "0.12");
    assert.equal(rounded("-0.135", "half_even"), "-0.14");
  });

  it("steps to whole multiples", () => {
    const moved = (value: string, steps: number) => text(decimal.step(decimal.of(value), decimal.of("0.25"), steps));
    assert.equal(moved("1640.25", 1), "1640.50");
    assert.equal(moved("1640.30", 1), "1640.50");
    assert.equal(moved("1640.30", -1), "1640.25");
    assert.equal(decimal.isMultiple(decimal.of("1640.30"), decimal.of("0.25")), false);
  });

  it("divides towards zero and never by zero", () => {
    assert.equal(text(decimal.divide(decimal.of("-1"), decimal.of("3"), 4) as decimal.Decimal), "-0.3333");
    assert.equal(decimal.divide(decimal.of("1"), decimal.ZERO, 4), null);
  });
});

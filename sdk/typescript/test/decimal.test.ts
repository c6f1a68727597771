import { describe, expect, it } from "vitest";
import * as decimal from "../src/decimal.ts";

const text = (value: decimal.Decimal) => decimal.format(value);

describe("decimal", () => {
  it("reads plain decimals only", () => {
    expect(text(decimal.of("-0012.340"))).toBe("-12.340");
    for (const wrong of ["", "1e3", " 1", "+1", "1.", ".5", "NaN", "1,000", "1_000"]) {
      expect(decimal.parse(wrong)).toBeNull();
    }
  });

  it("is exact where floating point is not", () => {
    expect(text(decimal.add(decimal.of("0.1"), decimal.of("0.2")))).toBe("0.3");
    const product = decimal.multiply(decimal.of("90071992547409.93"), decimal.of("1.0000000001"));
    expect(text(product)).toBe("90071992556417.129254740993");
  });

  it("rounds as it is told", () => {
    const rounded = (value: string, rounding: decimal.Rounding) =>
      text(decimal.rescale(decimal.of(value), 2, rounding));
    expect(rounded("0.060035", "up")).toBe("0.07");
    expect(rounded("0.069", "down")).toBe("0.06");
    expect(rounded("0.125", "half_even")).toBe("0.12");
    expect(rounded("-0.135", "half_even")).toBe("-0.14");
  });

  it("steps to whole multiples", () => {
    const moved = (value: string, steps: number) => text(decimal.step(decimal.of(value), decimal.of("0.25"), steps));
    expect(moved("1640.25", 1)).toBe("1640.50");
    expect(moved("1640.30", 1)).toBe("1640.50");
    expect(moved("1640.30", -1)).toBe("1640.25");
    expect(decimal.isMultiple(decimal.of("1640.30"), decimal.of("0.25"))).toBe(false);
  });

  it("divides towards zero and never by zero", () => {
    expect(text(decimal.divide(decimal.of("-1"), decimal.of("3"), 4) as decimal.Decimal)).toBe("-0.3333");
    expect(decimal.divide(decimal.of("1"), decimal.ZERO, 4)).toBeNull();
  });
});

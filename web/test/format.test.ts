import { describe, expect, it } from "vitest";
import * as format from "@/shared/format.ts";

describe("format", () => {
  it("groups thousands and never loses a digit", () => {
    expect(format.grouped("1234567.50")).toBe("1,234,567.50");
    expect(format.grouped("-999.00")).toBe("−999.00");
    expect(format.grouped("90071992547409931234.01")).toBe("90,071,992,547,409,931,234.01");
    expect(format.grouped(null)).toBe("–");
  });

  it("signs gains and losses and leaves zero alone", () => {
    expect([format.signed("5.10"), format.signed("-5.10"), format.signed("0.00")]).toEqual(["+5.10", "−5.10", "0.00"]);
  });

  it("trims quantities and aligns them to their lot", () => {
    expect(format.quantity("0.50000000")).toBe("0.5");
    expect(format.quantity("100")).toBe("100");
    expect(format.sized("0.50000000", format.decimalsOf("0.01000000"))).toBe("0.50");
  });

  it("shortens volumes", () => {
    expect([format.compact("9999"), format.compact("141996"), format.compact("12345678")]).toEqual([
      "9,999",
      "142.0K",
      "12.35M",
    ]);
  });

  it("shows averages to the precision of a price", () => {
    expect(format.average("63977.066667", "1.00")).toBe("63,977.07");
    expect(format.average("3372.68160000")).toBe("3,372.68");
    expect(format.average("1.08491160")).toBe("1.0849");
  });

  it("shows how much of an order is filled", () => {
    expect(format.filledOf("0.35000000", "0.35000000")).toBe("0.35");
    expect(format.filledOf("0.00000000", "50.00000000")).toBe("0 / 50");
  });

  it("shows instants in UTC", () => {
    const now = new Date("2026-11-21T12:00:00Z");
    expect(format.moment("2026-11-21T11:40:28.123Z", now)).toBe("11:40:28");
    expect(format.moment("2013-09-01T17:00:00.083000Z", now)).toBe("1 Sep 17:00:00");
    expect(format.clock("2013-09-01T17:00:00.083000Z", true)).toBe("17:00:00.083");
  });

  it("shows ratios as per cent without a negative zero", () => {
    expect([format.percent(-0.00001), format.percent(0.0123), format.percent(null)]).toEqual(["0.00%", "1.23%", "–"]);
  });
});

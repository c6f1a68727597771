import { decimal } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { estimate, findFaults } from "@/features/ticket/estimate.ts";

const terms = (side: "buy" | "sell", quantity: string, price: string, available: string | null) => ({
  side,
  quantity: decimal.of(quantity),
  price: decimal.of(price),
  quoteScale: 2,
  available: available === null ? null : decimal.of(available),
});

describe("estimate", () => {
  it("rounds the fee up to the cent, as the venue does", () => {
    expect(estimate(terms("buy", "1", "120.07", null))).toEqual({
      notional: "120.07",
      fee: "0.07",
      total: "120.14",
      isBeyondAvailable: null,
    });
  });

  it("compares a purchase with the money and a sale with the holding", () => {
    expect(estimate(terms("buy", "1", "120.07", "120.14")).isBeyondAvailable).toBe(false);
    expect(estimate(terms("buy", "1", "120.07", "120.13")).isBeyondAvailable).toBe(true);
    expect(estimate(terms("sell", "2", "1.00", "1")).isBeyondAvailable).toBe(true);
    expect(estimate(terms("sell", "1", "100.00", "1")).total).toBe("99.95");
  });
});

describe("findFaults", () => {
  const entry = { type: "limit", quantity: "0.01", price: "63900.00", lotSize: "0.01", tickSize: "1.00" } as const;

  it("finds nothing in a sound order", () => {
    expect(findFaults(entry)).toEqual({ quantity: null, price: null });
  });

  it("names what is wrong", () => {
    expect(findFaults({ ...entry, quantity: "0.015" }).quantity).toContain("multiple of the lot 0.01");
    expect(findFaults({ ...entry, quantity: "0" }).quantity).toContain("above zero");
    expect(findFaults({ ...entry, quantity: "1e2" }).quantity).toContain("not a number");
    expect(findFaults({ ...entry, price: "63900.50" }).price).toContain("multiple of the tick");
    expect(findFaults({ ...entry, type: "market", price: "" }).price).toBeNull();
  });
});

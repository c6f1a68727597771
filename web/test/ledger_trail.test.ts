import type { Execution, Hold, Journal, Order, Transfer } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { followId, type TrailSource } from "@/features/ledger/trail.ts";

const TRANSFER = {
  transfer_id: "trf_1",
  account_id: "acc_x",
  direction: "deposit",
  asset: "USD",
  journal_id: "jnl_in",
  created_at: "2026-01-01T10:00:00Z",
} as Transfer;
const ORDER = {
  order_id: "ord_1",
  account_id: "acc_x",
  symbol: "ACME-USD",
  side: "buy",
  created_at: "2026-01-01T11:00:00Z",
} as Order;
const FILL = {
  execution_id: "exe_1",
  order_id: "ord_1",
  journal_id: "jnl_fill",
  transact_time: "2026-01-01T11:00:01Z",
} as Execution;
const HOLD = { hold_id: "hld_1", reference: "ord_1" } as Hold;
const JOURNALS: Record<string, Journal> = {
  jnl_in: journal("jnl_in", "trf_1", [leg("acc_x:USD", null)]),
  jnl_fill: journal("jnl_fill", "exe_1", [leg("acc_x:USD", "hld_1")]),
  jnl_own: journal("jnl_own", "inv-7", [leg("org_a:book:cash:USD", null)]),
};

const SOURCE: TrailSource = {
  transfer: async (id) => (id === "trf_1" ? TRANSFER : null),
  transfers: async () => [TRANSFER],
  order: async (id) => (id === "ord_1" ? ORDER : null),
  orders: async () => [{ ...ORDER, order_id: "ord_2", created_at: "2026-01-02T00:00:00Z" }, ORDER],
  fills: async (id) => (id === "ord_1" ? [FILL] : []),
  orderOfFill: async (id) => (id === "exe_1" ? "ord_1" : null),
  journal: async (id) => JOURNALS[id] ?? null,
  journals: async (reference) => Object.values(JOURNALS).filter((one) => one.reference === reference),
  hold: async (id) => (id === "hld_1" ? HOLD : null),
  openHolds: async () => [],
  request: async () => null,
};

const WHOLE = ["trf_1", "jnl_in", "acc_x:USD", "ord_1", "hld_1", "exe_1", "jnl_fill"];

describe("followId", () => {
  const ids = async (id: string) => (await followId(SOURCE, id)).map((step) => step.id);

  it.each(["trf_1", "ord_1", "exe_1", "jnl_in", "jnl_fill", "hld_1", " ord_1 "])(
    "shows the same way from the payment to the fill for %s",
    async (id) => {
      expect(await ids(id)).toEqual(WHOLE);
    },
  );

  it("shows journals of a reference that is a word of somebody's own", async () => {
    expect(await ids("inv-7")).toEqual(["jnl_own"]);
  });

  it("says nothing about what is not there", async () => {
    expect(await ids("trf_nobody")).toEqual([]);
    expect(await ids("exe_nobody")).toEqual([]);
    expect(await ids("whatever")).toEqual([]);
  });

  it("finds the hold of an order without fills among the open ones", async () => {
    const open: TrailSource = { ...SOURCE, fills: async () => [], openHolds: async () => [HOLD] };
    expect((await followId(open, "ord_1")).map((step) => step.kind)).toEqual([
      "transfer",
      "journal",
      "balance",
      "order",
      "hold",
    ]);
  });
});

function leg(account: string, holdId: string | null) {
  return { account, asset: "USD", amount: "1.00", balance: "1.00", version: 1, hold_id: holdId };
}

function journal(id: string, reference: string, legs: Journal["legs"]): Journal {
  return { journal_id: id, journal_no: 1, reference, legs, releases: [] as readonly string[] } as Journal;
}

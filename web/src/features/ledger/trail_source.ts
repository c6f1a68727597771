import { ApiError, type Account, type Agio } from "agio-sdk";
import type { TrailSource } from "./trail.ts";

const PAGE = 200;

/** A trail's questions as requests. What the key may not ask counts as not there. */
export function restSource(agio: Agio, accounts: readonly Account[]): TrailSource {
  return {
    transfer: (id) => orNull(agio.showTransfer(id)),
    transfers: (accountId) => orNone(agio.transfers({ account_id: accountId, limit: PAGE })),
    order: (id) => orNull(agio.order(id)),
    orders: (accountId) => orNone(agio.orders(accountId, { status: "all", limit: PAGE })),
    fills: async (orderId) => (await orNull(agio.fillsOf(orderId))) ?? [],
    orderOfFill: async (executionId) => {
      for (const account of accounts) {
        const fills = await orNone(agio.executions(account.account_id, { limit: 1000 }));
        const found = fills.find((fill) => fill.execution_id === executionId);
        if (found !== undefined) return found.order_id;
      }
      return null;
    },
    journal: (id) => orNull(agio.ledger.journal(id)),
    journals: (reference) => orNone(agio.ledger.journals(reference)),
    hold: (id) => orNull(agio.ledger.hold(id)),
    openHolds: (address) => orNone(agio.ledger.openHolds(address, { limit: PAGE })),
    request: (id) => orNull(agio.custody.request(id)),
  };
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && [400, 403, 404, 422].includes(error.status)) return null;
    throw error;
  }
}

async function orNone<T>(answer: Promise<{ readonly items: readonly T[] }>): Promise<readonly T[]> {
  return (await orNull(answer))?.items ?? [];
}

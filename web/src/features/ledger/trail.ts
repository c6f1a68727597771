/** The way of money from a payment to a fill, found by following references. Needs no page: it asks a `TrailSource`. */

import type { Execution, Hold, Journal, Order, Transfer, TransferRequest } from "agio-sdk";

/** What can be asked; each answers null for what is not there. */
export interface TrailSource {
  transfer(id: string): Promise<Transfer | null>;
  /** Transfers of an account, newest first. */
  transfers(accountId: string): Promise<readonly Transfer[]>;
  order(id: string): Promise<Order | null>;
  /** Orders of an account, newest first. */
  orders(accountId: string): Promise<readonly Order[]>;
  fills(orderId: string): Promise<readonly Execution[]>;
  /** The order of a fill. */
  orderOfFill(executionId: string): Promise<string | null>;
  journal(id: string): Promise<Journal | null>;
  journals(reference: string): Promise<readonly Journal[]>;
  hold(id: string): Promise<Hold | null>;
  /** Open holds of a ledger account. */
  openHolds(address: string): Promise<readonly Hold[]>;
  request(id: string): Promise<TransferRequest | null>;
}

export type Step =
  | { readonly kind: "transfer"; readonly id: string; readonly transfer: Transfer }
  | { readonly kind: "request"; readonly id: string; readonly request: TransferRequest }
  | { readonly kind: "journal"; readonly id: string; readonly journal: Journal }
  | { readonly kind: "balance"; readonly id: string; readonly asset: string; readonly balance: string; readonly version: number }
  | { readonly kind: "order"; readonly id: string; readonly order: Order }
  | { readonly kind: "hold"; readonly id: string; readonly hold: Hold }
  | { readonly kind: "fill"; readonly id: string; readonly fill: Execution };

const MOST_FILLS = 12;

/** The trail of an id; empty when it names nothing that the key may see. */
export async function followId(source: TrailSource, text: string): Promise<readonly Step[]> {
  const id = text.trim();
  switch (id.slice(0, 4)) {
    case "trf_":
      return fromTransfer(source, await source.transfer(id));
    case "ord_":
      return fromOrder(source, await source.order(id));
    case "exe_": {
      const orderId = await source.orderOfFill(id);
      return orderId === null ? [] : fromOrder(source, await source.order(orderId));
    }
    case "trq_":
      return fromRequest(source, await source.request(id));
    default:
      return fromAnything(source, id);
  }
}

/** A journal, a hold, or whatever journals were given as their reference. */
async function fromAnything(source: TrailSource, id: string): Promise<readonly Step[]> {
  const [journal, hold] = await Promise.all([source.journal(id), source.hold(id)]);
  if (journal !== null) return fromJournal(source, journal);
  if (hold !== null) return fromHold(source, hold);
  return oldestFirst(await source.journals(id)).flatMap((one) => journalSteps(one));
}

async function fromTransfer(source: TrailSource, transfer: Transfer | null): Promise<readonly Step[]> {
  if (transfer === null) return [];
  const start = await transferSteps(source, transfer);
  if (transfer.direction === "withdrawal") return start;
  // Money has no name: what follows a payment is the first order after it.
  const orders = await source.orders(transfer.account_id);
  const next = orders.filter((order) => order.created_at >= transfer.created_at).at(-1);
  return next === undefined ? start : [...start, ...(await orderSteps(source, next))];
}

async function fromOrder(source: TrailSource, order: Order | null): Promise<readonly Step[]> {
  if (order === null) return [];
  const transfers = await source.transfers(order.account_id);
  const paid = transfers.find((one) => one.direction === "deposit" && one.created_at <= order.created_at);
  const start = paid === undefined ? [] : await transferSteps(source, paid);
  return [...start, ...(await orderSteps(source, order))];
}

async function fromRequest(source: TrailSource, request: TransferRequest | null): Promise<readonly Step[]> {
  if (request === null) return [];
  const steps: Step[] = [{ kind: "request", id: request.request_id, request }];
  const hold = request.hold_id === null ? null : await source.hold(request.hold_id);
  if (hold !== null) steps.push({ kind: "hold", id: hold.hold_id, hold });
  const journal = request.journal_id === null ? null : await source.journal(request.journal_id);
  return journal === null ? steps : [...steps, ...journalSteps(journal)];
}

async function fromJournal(source: TrailSource, journal: Journal): Promise<readonly Step[]> {
  const steps = journal.reference === null ? [] : await ofReference(source, journal.reference);
  if (steps.some((step) => step.id === journal.journal_id)) return steps;
  const holds = await Promise.all(holdsOf(journal).map((id) => source.hold(id)));
  return [
    ...steps,
    ...holds.filter((hold) => hold !== null).map((hold) => ({ kind: "hold", id: hold.hold_id, hold }) as const),
    ...journalSteps(journal),
  ];
}

async function fromHold(source: TrailSource, hold: Hold): Promise<readonly Step[]> {
  const steps = hold.reference === null ? [] : await ofReference(source, hold.reference);
  if (steps.some((step) => step.id === hold.hold_id)) return steps;
  return [...steps, { kind: "hold", id: hold.hold_id, hold }];
}

async function ofReference(source: TrailSource, reference: string): Promise<readonly Step[]> {
  return /^(trf|ord|exe|trq)_/.test(reference) ? followId(source, reference) : [];
}

async function transferSteps(source: TrailSource, transfer: Transfer): Promise<readonly Step[]> {
  const first: Step = { kind: "transfer", id: transfer.transfer_id, transfer };
  const journal = transfer.journal_id === null ? null : await source.journal(transfer.journal_id);
  if (journal === null) return [first];
  return [first, ...journalSteps(journal, `${transfer.account_id}:${transfer.asset}`)];
}

async function orderSteps(source: TrailSource, order: Order): Promise<readonly Step[]> {
  const fills = [...(await source.fills(order.order_id))].sort((left, right) =>
    left.transact_time < right.transact_time ? -1 : 1,
  );
  const shown = fills.slice(0, MOST_FILLS);
  const journals = await Promise.all(shown.map((fill) => source.journal(fill.journal_id)));
  const hold = await holdOf(source, order, journals);
  return [
    { kind: "order", id: order.order_id, order },
    ...(hold === null ? [] : [{ kind: "hold", id: hold.hold_id, hold } as const]),
    ...shown.flatMap((fill, at): readonly Step[] => {
      const journal = journals[at] ?? null;
      const step: Step = { kind: "fill", id: fill.execution_id, fill };
      return journal === null ? [step] : [step, ...journalSteps(journal)];
    }),
  ];
}

/** An order's hold is the one that its fills consume, or one that is still open. */
async function holdOf(source: TrailSource, order: Order, journals: readonly (Journal | null)[]): Promise<Hold | null> {
  for (const journal of journals) {
    const [used] = journal === null ? [] : holdsOf(journal);
    if (used !== undefined) return source.hold(used);
  }
  const [base, quote] = order.symbol.split("-");
  const asset = order.side === "buy" ? (quote ?? "USD") : base;
  const open = await source.openHolds(`${order.account_id}:${asset}`);
  return open.find((hold) => hold.reference === order.order_id) ?? null;
}

/** Every hold that a journal captured or released, once. */
export function holdsOf(journal: Journal): readonly string[] {
  const captured = journal.legs.map((leg) => leg.hold_id).filter((id) => id !== null);
  return [...new Set([...captured, ...journal.releases])];
}

/** A journal, and the balance that it left on the account that we look at. */
function journalSteps(journal: Journal, address?: string): readonly Step[] {
  const step: Step = { kind: "journal", id: journal.journal_id, journal };
  const leg = journal.legs.find((one) => one.account === address);
  if (leg === undefined) return [step];
  const { account, asset, balance, version } = leg;
  return [step, { kind: "balance", id: account, asset, balance, version }];
}

function oldestFirst(journals: readonly Journal[]): readonly Journal[] {
  return [...journals].sort((left, right) => left.journal_no - right.journal_no);
}

/** What an order would cost, computed exactly. */

import { decimal, type OrderType, type Side } from "agio-sdk";

/** The venues' fee on notional, in basis points, rounded up to the smallest unit of the quote asset. */
export const FEE_BASIS_POINTS = 5n;

export interface Estimate {
  readonly notional: string;
  readonly fee: string;
  /** What a purchase costs or a sale brings, fee included. */
  readonly total: string;
  /** More than what is available; null while that is unknown. */
  readonly isBeyondAvailable: boolean | null;
}

interface Terms {
  readonly side: Side;
  readonly quantity: decimal.Decimal;
  readonly price: decimal.Decimal;
  readonly quoteScale: number;
  /** Of the quote asset for a purchase, of the base asset for a sale. */
  readonly available: decimal.Decimal | null;
}

export function estimate({ side, quantity, price, quoteScale, available }: Terms): Estimate {
  const notional = decimal.multiply(quantity, price);
  const exactFee = { units: notional.units * FEE_BASIS_POINTS, scale: notional.scale + 4 };
  const fee = decimal.rescale(exactFee, quoteScale, "up");
  const total = side === "buy" ? decimal.add(notional, fee) : decimal.subtract(notional, fee);
  const needed = side === "buy" ? total : quantity;
  return {
    notional: decimal.format(decimal.rescale(notional, quoteScale)),
    fee: decimal.format(fee),
    total: decimal.format(decimal.rescale(total, quoteScale)),
    isBeyondAvailable: available === null ? null : decimal.compare(needed, available) > 0,
  };
}

export interface Faults {
  readonly quantity: string | null;
  readonly price: string | null;
}

interface Entry {
  readonly type: OrderType;
  readonly quantity: string;
  readonly price: string;
  readonly lotSize: string;
  readonly tickSize: string;
}

/** What is wrong with what was typed, in words. */
export function findFaults({ type, quantity, price, lotSize, tickSize }: Entry): Faults {
  return {
    quantity: faultOf(quantity, lotSize, "Quantity", "lot"),
    price: type === "limit" ? faultOf(price, tickSize, "Price", "tick") : null,
  };
}

function faultOf(text: string, stepSize: string, name: string, stepName: string): string | null {
  const value = decimal.parse(text);
  if (value === null) return text === "" ? `${name} is missing` : `${name} is not a number`;
  if (decimal.sign(value) <= 0) return `${name} must be above zero`;
  if (!decimal.isMultiple(value, decimal.of(stepSize))) return `${name} must be a multiple of the ${stepName} ${stepSize}`;
  return null;
}

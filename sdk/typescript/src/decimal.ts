/** Exact decimal numbers: an integer count of units of 10^-scale. Money never touches floating point. */

export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

const PLAIN = /^(-?)(\d{1,38})(?:\.(\d{1,38}))?$/;

export const ZERO: Decimal = { units: 0n, scale: 0 };

/** Read plain decimal text; null for anything else (exponents, spaces, signs other than one minus). */
export function parse(text: string): Decimal | null {
  const match = PLAIN.exec(text);
  if (match === null) return null;
  const fraction = match[3] ?? "";
  const units = BigInt((match[2] as string) + fraction);
  return { units: match[1] === "-" ? -units : units, scale: fraction.length };
}

/** Read decimal text that the server wrote. Throws RangeError for anything else. */
export function of(text: string): Decimal {
  const value = parse(text);
  if (value === null) throw new RangeError(`not a decimal number: ${text.slice(0, 40)}`);
  return value;
}

export function format(value: Decimal): string {
  const digits = abs(value).units.toString().padStart(value.scale + 1, "0");
  const whole = digits.slice(0, digits.length - value.scale);
  const fraction = value.scale > 0 ? `.${digits.slice(-value.scale)}` : "";
  return (value.units < 0n ? "-" : "") + whole + fraction;
}

export function add(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return { units: unitsAt(left, scale) + unitsAt(right, scale), scale };
}

export function subtract(left: Decimal, right: Decimal): Decimal {
  return add(left, negate(right));
}

export function multiply(left: Decimal, right: Decimal): Decimal {
  return { units: left.units * right.units, scale: left.scale + right.scale };
}

export function negate(value: Decimal): Decimal {
  return { units: -value.units, scale: value.scale };
}

export function abs(value: Decimal): Decimal {
  return value.units < 0n ? negate(value) : value;
}

export function sign(value: Decimal): -1 | 0 | 1 {
  if (value.units === 0n) return 0;
  return value.units < 0n ? -1 : 1;
}

/** Negative, zero or positive as `left` is below, equal to or above `right`. */
export function compare(left: Decimal, right: Decimal): -1 | 0 | 1 {
  return sign(subtract(left, right));
}

/** Whether `value` is a whole number of `step`s. */
export function isMultiple(value: Decimal, step: Decimal): boolean {
  const scale = Math.max(value.scale, step.scale);
  return unitsAt(value, scale) % unitsAt(step, scale) === 0n;
}

export type Rounding = "down" | "up" | "half_even";

/** The same number with `scale` decimals; `down` is towards zero, `up` away from it. */
export function rescale(value: Decimal, scale: number, rounding: Rounding = "half_even"): Decimal {
  if (scale >= value.scale) return { units: unitsAt(value, scale), scale };
  const divisor = 10n ** BigInt(value.scale - scale);
  const magnitude = abs(value).units;
  let quotient = magnitude / divisor;
  const rest = magnitude % divisor;
  if (rest !== 0n && (rounding === "up" || (rounding === "half_even" && roundsUp(quotient, rest, divisor)))) {
    quotient += 1n;
  }
  return { units: value.units < 0n ? -quotient : quotient, scale };
}

/** `value` moved by whole steps, to the next multiple in that direction. */
export function step(value: Decimal, size: Decimal, steps: number): Decimal {
  const scale = Math.max(value.scale, size.scale);
  const unit = unitsAt(size, scale);
  const at = unitsAt(value, scale);
  const whole = at / unit;
  const isBetween = at % unit !== 0n;
  const moved = steps < 0 && isBetween ? whole + BigInt(steps) + 1n : whole + BigInt(steps);
  return { units: moved * unit, scale };
}

/** left / right with `scale` decimals, towards zero; null when right is zero. */
export function divide(left: Decimal, right: Decimal, scale: number): Decimal | null {
  if (right.units === 0n) return null;
  const shift = BigInt(scale + right.scale);
  return { units: (left.units * 10n ** shift) / (right.units * 10n ** BigInt(left.scale)), scale };
}

/** An approximation for drawing and sorting, never for money. */
export function toNumber(value: Decimal): number {
  return Number(format(value));
}

function unitsAt(value: Decimal, scale: number): bigint {
  return value.units * 10n ** BigInt(scale - value.scale);
}

function roundsUp(quotient: bigint, rest: bigint, divisor: bigint): boolean {
  const twice = rest * 2n;
  return twice > divisor || (twice === divisor && quotient % 2n === 1n);
}

/** An order book kept from a snapshot and deltas, checked by CRC32 at every step. */

import { crc32 } from "./crc32.ts";
import type { BookLevels } from "./models.ts";

export const CHECKED_LEVELS = 10;

/** A price level as the venue wrote it. */
export interface Level {
  readonly price: string;
  readonly size: string;
}

/** Bids and asks of one symbol. `isValid` is false from a gap or a wrong checksum until the next snapshot. */
export class Book {
  isValid = false;
  sequence = 0;
  private readonly bidSide = new Side((left, right) => right - left);
  private readonly askSide = new Side((left, right) => left - right);

  constructor(readonly symbol: string) {}

  /** Best bid first. */
  bids(depth = CHECKED_LEVELS): readonly Level[] {
    return this.bidSide.top(depth);
  }

  /** Best ask first. */
  asks(depth = CHECKED_LEVELS): readonly Level[] {
    return this.askSide.top(depth);
  }

  /** Replace everything by a snapshot; returns whether the checksum holds. */
  load(levels: BookLevels, sequence: number, checksum: number | undefined): boolean {
    this.bidSide.clear();
    this.askSide.clear();
    return this.change(levels, sequence, checksum);
  }

  /** Apply a delta; returns false (and marks the book invalid) on a gap or a wrong checksum. */
  apply(
    levels: BookLevels,
    sequence: number,
    previous: number | undefined,
    checksum: number | undefined,
  ): boolean {
    if (!this.isValid || (previous !== undefined && previous !== this.sequence)) {
      this.isValid = false;
      return false;
    }
    return this.change(levels, sequence, checksum);
  }

  /** CRC32 over the ten best asks, then the ten best bids (Kraken WebSocket v2 book checksum). */
  checksum(): number {
    let text = "";
    for (const side of [this.asks(), this.bids()]) {
      for (const level of side) text += digits(level.price) + digits(level.size);
    }
    return crc32(text);
  }

  private change(levels: BookLevels, sequence: number, checksum: number | undefined): boolean {
    this.bidSide.set(levels.bids ?? []);
    this.askSide.set(levels.asks ?? []);
    this.sequence = sequence;
    this.isValid = checksum === undefined || checksum === this.checksum();
    return this.isValid;
  }
}

/**
 * One side of a book. Levels are found by their integer digits at the side's own number of decimals, so that
 * "1.5" and "1.50" are one price; the digits of any listed price are far below 2^53.
 */
class Side {
  private readonly levels = new Map<number, Level>();
  private sorted: number[] | null = [];
  private decimals = 0;

  constructor(private readonly order: (left: number, right: number) => number) {}

  clear(): void {
    this.levels.clear();
    this.sorted = [];
  }

  top(depth: number): Level[] {
    this.sorted ??= [...this.levels.keys()].sort(this.order);
    return this.sorted.slice(0, depth).map((key) => this.levels.get(key) as Level);
  }

  set(levels: readonly (readonly [string, string])[]): void {
    for (const [price, size] of levels) {
      const key = this.key(price);
      if (isZero(size)) {
        if (this.levels.delete(key)) this.sorted = null;
      } else {
        if (!this.levels.has(key)) this.sorted = null;
        this.levels.set(key, { price, size });
      }
    }
  }

  private key(price: string): number {
    const point = price.indexOf(".");
    const decimals = point < 0 ? 0 : price.length - point - 1;
    if (decimals > this.decimals) this.widen(decimals);
    return Number(price.replace(".", "") + "0".repeat(this.decimals - decimals));
  }

  private widen(decimals: number): void {
    const known = [...this.levels.values()];
    this.decimals = decimals;
    this.levels.clear();
    this.sorted = null;
    for (const level of known) this.levels.set(this.key(level.price), level);
  }
}

function isZero(size: string): boolean {
  return /^0*\.?0*$/.test(size);
}

function digits(text: string): string {
  return text.replace(".", "").replace(/^0+/, "");
}

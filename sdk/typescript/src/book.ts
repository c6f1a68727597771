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
  readonly symbol: string;
  isValid = false;
  sequence = 0;
  private readonly bidSide = new Side(-1n);
  private readonly askSide = new Side(1n);

  constructor(symbol: string) {
    this.symbol = symbol;
  }

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
    this.isValid = false;
    this.bidSide.set(levels.bids ?? []);
    this.askSide.set(levels.asks ?? []);
    this.sequence = sequence;
    this.isValid = checksum === undefined || checksum === this.checksum();
    return this.isValid;
  }
}

interface Entry {
  /** The price as a whole number of the side's smallest unit, negated on the bid side: the best comes first. */
  readonly key: bigint;
  readonly level: Level;
}

const DECIMAL = /^-?\d{1,38}(?:\.\d{1,38})?$/;

/**
 * One side of a book, sorted, best first. Prices are compared as exact integers at the side's own number of
 * decimals, so that "1.5" and "1.50" are one price, whatever their length.
 */
class Side {
  private readonly sign: bigint;
  private levels: Entry[] = [];
  private decimals = 0;

  constructor(sign: bigint) {
    this.sign = sign;
  }

  clear(): void {
    this.levels = [];
    this.decimals = 0;
  }

  top(depth: number): Level[] {
    return this.levels.slice(0, depth).map((entry) => entry.level);
  }

  /** Throws RangeError for what is no plain decimal number. */
  set(levels: readonly (readonly [string, string])[]): void {
    for (const [price, size] of levels) {
      if (!DECIMAL.test(price) || !DECIMAL.test(size)) throw new RangeError("a level of a book is two decimal numbers");
      const key = this.key(price);
      const index = this.find(key);
      const isKnown = this.levels[index]?.key === key;
      if (isZero(size)) {
        if (isKnown) this.levels.splice(index, 1);
      } else {
        this.levels.splice(index, isKnown ? 1 : 0, { key, level: { price, size } });
      }
    }
  }

  /** The place of a key: its own, or where it would be put in. */
  private find(key: bigint): number {
    let low = 0;
    let high = this.levels.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.levels[middle] as Entry).key < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private key(price: string): bigint {
    const point = price.indexOf(".");
    const decimals = point < 0 ? 0 : price.length - point - 1;
    if (decimals > this.decimals) this.widen(decimals);
    return this.sign * BigInt(price.replace(".", "") + "0".repeat(this.decimals - decimals));
  }

  private widen(decimals: number): void {
    const factor = 10n ** BigInt(decimals - this.decimals);
    this.decimals = decimals;
    this.levels = this.levels.map(({ key, level }) => ({ key: key * factor, level }));
  }
}

function isZero(size: string): boolean {
  return /^-?0+(?:\.0*)?$/.test(size);
}

/** The digits that a checksum counts: no point, no zeros in front. */
function digits(text: string): string {
  return text.replace(".", "").replace(/^0+/, "");
}

/** The newest trades of an instrument, in order, with what is peculiar about each. */

import { decimal, type Trade } from "agio-sdk";

/** `late`: behind the newest venue time before it. */
export type TradeMark = "late" | "replaces" | "cancels";

export interface TapeEntry {
  readonly seq: number;
  readonly time: string;
  readonly price: string;
  readonly size: string;
  /** The aggressor's side, where the venue tells it. */
  readonly side: "buy" | "sell" | null;
  /** The side, else by the tick rule. */
  readonly direction: "up" | "down" | null;
  readonly id: string | null;
  readonly mark: TradeMark | null;
  /** Replaced or canceled by a later trade. */
  readonly isOverruled: boolean;
}

/** Keeps the newest `limit` entries, and those of them that are at least as large as wished. */
export class TapeLog {
  private readonly entries: TapeEntry[] = [];
  private large: TapeEntry[] = [];
  private least: decimal.Decimal | null = null;
  private newestTime = "";

  constructor(private readonly limit: number) {}

  get last(): TapeEntry | undefined {
    return this.entries.at(-1);
  }

  /** How many there are of any size. */
  get length(): number {
    return Math.min(this.limit, this.entries.length);
  }

  /** A copy of those that are large enough, oldest first. */
  shown(): TapeEntry[] {
    return (this.least === null ? this.entries : this.large).slice(-this.limit);
  }

  clear(): void {
    this.entries.length = 0;
    this.large = [];
    this.newestTime = "";
  }

  /** Show only trades of at least this size. */
  showFrom(least: decimal.Decimal | null): void {
    this.least = least;
    this.large = this.entries.filter((entry) => this.isLarge(entry));
  }

  /** Take a trade that follows; one that is known already is left out. Returns whether it was new. */
  add(trade: Trade): boolean {
    if ((trade.seq ?? 0) <= (this.last?.seq ?? 0)) return false;
    if (trade.correction !== undefined && trade.id !== null) this.overrule(trade.id);
    const entry = this.entryOf(trade);
    this.entries.push(entry);
    if (this.least !== null && this.isLarge(entry)) this.large.push(entry);
    if (trade.venue_time > this.newestTime) this.newestTime = trade.venue_time;
    for (const list of [this.entries, this.large]) {
      if (list.length > this.limit * 2) list.splice(0, list.length - this.limit);
    }
    return true;
  }

  private entryOf(trade: Trade): TapeEntry {
    const isLate = trade.venue_time < this.newestTime;
    return {
      seq: trade.seq ?? 0,
      time: trade.venue_time,
      price: trade.price,
      size: trade.size,
      side: trade.side,
      direction: directionOf(trade, this.last),
      id: trade.id,
      mark: trade.correction ?? (isLate ? "late" : null),
      isOverruled: trade.correction === "cancels",
    };
  }

  private overrule(id: string): void {
    for (const list of [this.entries, this.large]) {
      for (const [place, entry] of list.entries()) {
        if (entry.id === id) list[place] = { ...entry, isOverruled: true };
      }
    }
  }

  private isLarge(entry: TapeEntry): boolean {
    return this.least === null || decimal.compare(decimal.of(entry.size), this.least) >= 0;
  }
}

function directionOf(trade: Trade, before: TapeEntry | undefined): TapeEntry["direction"] {
  if (trade.side !== null) return trade.side === "buy" ? "up" : "down";
  if (before === undefined) return null;
  const order = decimal.compare(decimal.of(trade.price), decimal.of(before.price));
  if (order === 0) return before.direction;
  return order > 0 ? "up" : "down";
}

/** The ledger's objects. Positive amounts credit, negative ones debit. */

import type { DecimalText, Instant } from "./models.ts";

/** One asset of one owner at an address such as `acc_x:USD`; `version` is the number of its entries. */
export interface LedgerAccount {
  readonly address: string;
  readonly owner: string;
  readonly asset: string;
  readonly code: string;
  readonly flags: readonly string[];
  readonly is_frozen: boolean;
  readonly is_closed: boolean;
  readonly minimum_balance: DecimalText;
  readonly total: DecimalText;
  readonly held: DecimalText;
  readonly available: DecimalText;
  readonly version: number;
  readonly opened_at: Instant;
}

/** One leg in its account's history, with the balance that it left. */
export interface LedgerEntry {
  readonly account: string;
  readonly version: number;
  readonly journal_id: string;
  readonly leg_no: number;
  readonly asset: string;
  readonly amount: DecimalText;
  readonly balance: DecimalText;
  readonly booking_date: string;
  readonly value_date: string;
  readonly source: string;
  readonly reference: string | null;
  readonly created_at: Instant;
}

export interface JournalLeg {
  readonly account: string;
  readonly asset: string;
  readonly amount: DecimalText;
  readonly balance: DecimalText;
  readonly version: number;
  /** The hold that this leg consumed. */
  readonly hold_id: string | null;
}

/** Legs that were posted together; those of each asset sum to zero. */
export interface Journal {
  readonly journal_id: string;
  readonly journal_no: number;
  readonly kind: string;
  readonly booking_date: string;
  readonly value_date: string;
  readonly source: string;
  readonly reference: string | null;
  readonly reverses: string | null;
  readonly reversed_by: string | null;
  readonly batch_no: number;
  readonly created_at: Instant;
  readonly legs: readonly JournalLeg[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Holds of which it freed the rest. */
  readonly releases: readonly string[];
}

/** An amount set aside: captured + released + left = amount. */
export interface Hold {
  readonly hold_id: string;
  readonly account: string;
  readonly asset: string;
  readonly amount: DecimalText;
  readonly captured: DecimalText;
  readonly released: DecimalText;
  readonly left: DecimalText;
  readonly state: "open" | "captured" | "released" | "expired";
  readonly expires_at: Instant | null;
  readonly source: string;
  readonly reference: string | null;
  readonly created_at: Instant;
  readonly closed_at: Instant | null;
}

export interface BalanceAsOf {
  readonly account: string;
  readonly asset: string;
  readonly at: Instant;
  readonly total: DecimalText;
  readonly version: number;
  readonly journal_id: string | null;
  readonly booked_at: Instant | null;
}

/** The last link of the hash chain: everything up to `last_journal_no` is in its hash. */
export interface ChainHead {
  readonly batch_no: number;
  readonly hash: string;
  readonly last_journal_no: number;
  readonly created_at: Instant | null;
}

/** How much of an account was checked, and what is broken. */
export interface AccountCheck {
  readonly account: string;
  readonly is_sound: boolean;
  readonly first_version: number;
  readonly last_version: number;
  readonly entries: number;
  readonly journals: number;
  readonly links: number;
  readonly findings: readonly { readonly invariant: number; readonly what: string }[];
  readonly head: ChainHead;
  readonly checked_at: Instant;
}

/** What `ledger:{account}` carries. */
export interface LedgerEvent {
  readonly kind: "journal_posted" | "hold_placed" | "hold_released" | "hold_captured";
  readonly journal_id: string | null;
  readonly legs: readonly { readonly account: string; readonly asset: string; readonly version: number }[];
}

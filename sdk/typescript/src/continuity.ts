/** Where a subscription stands on its channel: what comes once, what comes twice, what is missing. */

import type { Confirmed } from "./wire.ts";

/** A place on a log channel: everything up to `seq` of `epoch` has been seen. */
export interface LogPosition {
  readonly epoch: string;
  readonly seq: number;
}

/** Why messages are missing. */
export type GapReason =
  | "epoch"
  | "too_far"
  | "trimmed"
  | "skipped"
  | "overflow"
  | "book_gap"
  | "book_checksum"
  | "reconnected"
  | "unknown";

/** Messages whose continuity is not proven: `from` to `to`, both included. */
export interface Gap {
  readonly channel: string;
  readonly from: number;
  readonly to: number;
  /** Log channels: what the numbers count in; of a log that began anew, the new one. Else empty. */
  readonly epoch: string;
  /** Whether the channel is whole again without them: by a book's snapshot or by the newest values. */
  readonly recovered: boolean;
  readonly reason: GapReason;
  /** Path of the REST list that has the rest. */
  readonly rest?: string;
}

export type Missing = Omit<Gap, "channel">;

const REASONS: ReadonlySet<string> = new Set<GapReason>(["epoch", "too_far", "trimmed"]);

/**
 * The position on a LOG channel, which counts by exactly one.
 *
 * The state machine of "each message once and in order, or it is said what is missing": it knows nothing of
 * connections, so any number of them may hand it what they have, in any overlap.
 */
export class LogContinuity {
  private known: string | null;
  private last: number | null;
  private start: number | string | null;

  constructor(position: LogPosition | undefined, start: number | string | undefined) {
    this.known = position?.epoch ?? null;
    this.last = position?.seq ?? null;
    this.start = position === undefined ? (start ?? null) : null;
  }

  /** What was seen last; null before the first answer of the server. */
  get position(): LogPosition | null {
    return this.last === null ? null : { epoch: this.epoch, seq: this.last };
  }

  get epoch(): string {
    return this.known ?? "";
  }

  /** The members of a `sub` that tell where to begin. */
  request(): Record<string, unknown> {
    if (this.last !== null) {
      return { from: this.epoch === "" ? { seq: this.last } : { epoch: this.epoch, seq: this.last } };
    }
    return this.start === null ? {} : { start: this.start };
  }

  /** The server's answer to a `sub`; returns what is missing, if anything is. */
  confirm(answer: Confirmed): Missing | null {
    const epoch = answer.epoch ?? "";
    const top = answer.seq ?? 0;
    const before = this.last ?? (answer.first === undefined ? null : answer.first - 1);
    const isOtherEpoch = this.epoch !== "" && this.epoch !== epoch;
    this.start = null;
    this.known = epoch;
    if (before === null) {
      this.last = top;
      return null;
    }
    if ((answer.recovered ?? false) && !isOtherEpoch) {
      this.last = before;
      return null;
    }
    this.last = top;
    return {
      from: isOtherEpoch ? 1 : Math.min(before, top) + 1,
      to: top,
      epoch,
      recovered: false,
      reason: isOtherEpoch ? "epoch" : reasonOf(answer.reason),
      ...(answer.rest === undefined ? {} : { rest: answer.rest }),
    };
  }

  /** Judge a message: the next one, one that was seen, or one that comes too early. */
  judge(sequence: number): "next" | "seen" | "early" {
    if (this.last === null || sequence === this.last + 1) return "next";
    return sequence <= this.last ? "seen" : "early";
  }

  /** A message was taken. */
  advance(sequence: number): void {
    this.last = sequence;
  }

  /** A heartbeat named the newest sequence: being behind it means silent loss. */
  isBehind(top: number): boolean {
    return this.last !== null && this.last < top;
  }
}

function reasonOf(told: string | undefined): GapReason {
  return told !== undefined && REASONS.has(told) ? (told as GapReason) : "unknown";
}

/** How the market's sources are doing, out of `GET /api/market/status`. */

export interface SymbolHealth {
  readonly symbol: string;
  /** `ok`, or the verdict about its book: `gap`, `bad_checksum`, `crossed`. */
  readonly book: string | null;
  readonly reason: string | null;
  readonly state: string | null;
  readonly ageMs: number | null;
  readonly skewMs: number | null;
  readonly staleMs: number | null;
  readonly counters: Counters;
}

export interface SourceHealth {
  readonly source: string;
  readonly state: string;
  readonly since: string | null;
  readonly ageMs: number | null;
  readonly skewMs: number | null;
  readonly staleMs: number | null;
  readonly counters: Counters;
  readonly lastError: string | null;
  readonly symbols: readonly SymbolHealth[];
}

/** Null where the source does not count it. */
export interface Counters {
  readonly messages: number | null;
  readonly gaps: number | null;
  readonly resyncs: number | null;
  readonly badChecksums: number | null;
  readonly crossed: number | null;
  readonly reconnects: number | null;
  readonly stale: number | null;
  readonly malformed: number | null;
}

export const NO_COUNTERS: Counters = {
  messages: null,
  gaps: null,
  resyncs: null,
  badChecksums: null,
  crossed: null,
  reconnects: null,
  stale: null,
  malformed: null,
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * Every source of the market. A venue without counters, such as the simulated exchange, has its state only; what an
 * older server does not tell is null.
 */
export function readHealth(status: unknown): SourceHealth[] {
  const sources = listOf(status, "sources").map(readSource);
  const known = new Set(sources.map((one) => one.source));
  const venues = listOf(status, "venues")
    .map((one) => readSource({ source: one["venue"], state: one["state"] }))
    .filter((one) => !known.has(one.source));
  return [...sources, ...venues].sort((left, right) => left.source.localeCompare(right.source));
}

function readSource(fields: Fields): SourceHealth {
  return {
    source: textOf(fields["source"]) ?? "?",
    state: textOf(fields["state"]) ?? "closed",
    since: textOf(fields["since"]),
    ageMs: numberOf(fields["last_message_age_ms"]),
    skewMs: numberOf(fields["skew_ms"]),
    staleMs: numberOf(fields["stale_ms"]),
    counters: readCounters(fields),
    lastError: textOf(fields["last_error"]),
    symbols: listOf(fields, "symbols").map(readSymbol),
  };
}

function readSymbol(fields: Fields): SymbolHealth {
  return {
    symbol: textOf(fields["symbol"]) ?? "?",
    book: textOf(fields["book"]),
    reason: textOf(fields["reason"]),
    state: textOf(fields["state"]),
    ageMs: numberOf(fields["last_message_age_ms"]),
    skewMs: numberOf(fields["skew_ms"]),
    staleMs: numberOf(fields["stale_ms"]),
    counters: readCounters(fields),
  };
}

function readCounters(fields: Fields): Counters {
  return {
    messages: numberOf(fields["messages"]),
    gaps: numberOf(fields["gaps"]),
    resyncs: numberOf(fields["resyncs"]),
    badChecksums: numberOf(fields["bad_checksums"]),
    crossed: numberOf(fields["crossed"]),
    reconnects: numberOf(fields["reconnects"]),
    stale: numberOf(fields["stale_count"]),
    malformed: numberOf(fields["malformed"]),
  };
}

function listOf(value: unknown, name: string): Fields[] {
  const list = typeof value === "object" && value !== null ? (value as Fields)[name] : null;
  return Array.isArray(list) ? list.filter((one): one is Fields => typeof one === "object" && one !== null) : [];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

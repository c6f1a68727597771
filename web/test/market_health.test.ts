import type { Instrument, StreamConnection } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { lagOf, searchConnections, totalsOf } from "@/features/connections/presence.ts";
import { searchInstruments } from "@/features/market/directory.ts";
import { bytes, count, milliseconds } from "@/shared/format.ts";
import { readHealth } from "@/shared/live/source_health.ts";

describe("the sources' health", () => {
  const symbol = { symbol: "KRAKEN-BTC-USD", book: "bad_checksum", reason: "the venue's CRC32 is 1, ours 2", state: "live", gaps: 1 };
  const source = { source: "KRAKEN", state: "stale", last_message_age_ms: 112, skew_ms: 38.4, bad_checksums: 2, resyncs: 3, symbols: [symbol] };

  it("reads counters, and venues without any", () => {
    const health = readHealth({ sources: [source], venues: [{ venue: "SIM", state: "live" }, { venue: "KRAKEN", state: "live" }] });
    expect(health.map((one) => [one.source, one.state, one.ageMs])).toEqual([
      ["KRAKEN", "stale", 112],
      ["SIM", "live", null],
    ]);
    expect(health[0]?.counters).toMatchObject({ badChecksums: 2, resyncs: 3, gaps: null });
    expect(health[0]?.symbols[0]).toMatchObject({ book: "bad_checksum", ageMs: null, counters: { gaps: 1 } });
  });

  it("takes whatever a server of another age says", () => {
    for (const answer of [null, {}, { venues: null }, { sources: "x", venues: [null, 3, {}] }, { sources: [{ symbols: {} }] }]) {
      expect(() => readHealth(answer)).not.toThrow();
    }
    expect(readHealth({ sources: [{ source: "X", gaps: "many", skew_ms: Number.NaN }] })[0]).toMatchObject({ state: "closed", skewMs: null });
  });
});

describe("the directory", () => {
  const instrument = (symbol: string, name: string, venue = "SIM") =>
    ({ symbol, name, venue, base_asset: symbol.split("-")[0], quote_asset: "USD" }) as Instrument;
  const all = [instrument("ACME-USD", "Acme, a maker of bitcoin mills"), instrument("BTC-USD", "Bitcoin"), instrument("KRAKEN-BTC-USD", "Bitcoin", "KRAKEN")];
  const found = (wanted: string) => searchInstruments(all, wanted).map((one) => one.symbol);

  it("finds by every word, symbols that begin so first", () => {
    expect(found("")).toHaveLength(3);
    expect(found("btc")).toEqual(["BTC-USD", "KRAKEN-BTC-USD"]);
    expect(found("bitcoin kraken")).toEqual(["KRAKEN-BTC-USD"]);
    expect(found("b")[0]).toBe("BTC-USD");
    expect(found("nothing")).toEqual([]);
  });
});

describe("the connections", () => {
  const connection = (id: string, more: Partial<StreamConnection> = {}): StreamConnection =>
    ({ connection_id: id, key_id: "key_a", address: "10.0.0.1", door: "stream", channels: [], queued_bytes: 0, dropped: 0, ...more }) as StreamConnection;
  const slow = connection("con_b", {
    queued_bytes: 2048,
    dropped: 7,
    channels: [
      { channel: "trades:ES", position: 10, lag: 90 },
      { channel: "quotes:ES", position: null, lag: null },
    ],
  });
  const all = [connection("con_a"), slow];

  it("are added up", () => {
    expect(totalsOf(all)).toEqual({ connections: 2, channels: 2, lag: 90, queuedBytes: 2048, dropped: 7 });
    expect(totalsOf([])).toMatchObject({ connections: 0, lag: 0 });
    expect(lagOf(slow)).toBe(90);
  });

  it("are found by channel or key, the worst off first", () => {
    expect(searchConnections(all, "").map((one) => one.connection_id)).toEqual(["con_b", "con_a"]);
    expect(searchConnections(all, "trades:es")).toEqual([slow]);
    expect(searchConnections(all, "nobody")).toEqual([]);
  });
});

describe("figures", () => {
  it("are short and never ambiguous", () => {
    expect([0.4, 9.96, 112.4, -38.4, 1500, 61_000, null].map((one) => milliseconds(one))).toEqual([
      "0.4 ms",
      "10 ms",
      "112 ms",
      "−38 ms",
      "1.5 s",
      "1 min",
      "–",
    ]);
    expect([bytes(0), bytes(2048), bytes(3 * 1024 * 1024)]).toEqual(["0 B", "2.0 KiB", "3.0 MiB"]);
    expect([count(1234567), count(null)]).toEqual(["1,234,567", "–"]);
  });
});

import type { Instrument } from "agio-sdk";

/** Instruments that hold every word, those whose symbol begins with the first one in front. */
export function searchInstruments(instruments: readonly Instrument[], wanted: string): readonly Instrument[] {
  const terms = wanted.toLowerCase().split(/\s+/).filter((term) => term !== "");
  const [first] = terms;
  if (first === undefined) return instruments;
  const rank = (one: Instrument) => (one.symbol.toLowerCase().startsWith(first) ? 0 : 1);
  return instruments
    .filter((one) => terms.every((term) => wordsOf(one).includes(term)))
    .sort((left, right) => rank(left) - rank(right) || left.symbol.localeCompare(right.symbol));
}

function wordsOf(one: Instrument): string {
  return [one.symbol, one.name, one.venue, one.base_asset, one.quote_asset].join(" ").toLowerCase();
}

import { decimal, type JournalLeg } from "agio-sdk";

/** What the legs of each asset sum to, exactly; zero for every journal that was posted. */
export function sumByAsset(legs: readonly Pick<JournalLeg, "asset" | "amount">[]): readonly (readonly [string, string])[] {
  const sums = new Map<string, decimal.Decimal>();
  for (const leg of legs) {
    sums.set(leg.asset, decimal.add(sums.get(leg.asset) ?? decimal.ZERO, decimal.of(leg.amount)));
  }
  return [...sums].sort(([left], [right]) => (left < right ? -1 : 1)).map(([asset, sum]) => [asset, decimal.format(sum)]);
}

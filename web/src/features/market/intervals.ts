import type { Zone } from "@/shared/zone.ts";

/** What the page offers of the intervals that the server draws. */
export const INTERVALS = [
  "1s",
  "5s",
  "10s",
  "15s",
  "30s",
  "1m",
  "2m",
  "3m",
  "5m",
  "10m",
  "15m",
  "30m",
  "1h",
  "2h",
  "4h",
  "6h",
  "8h",
  "12h",
  "1d",
  "1w",
  "1mo",
] as const;

export interface ChartPreferences {
  readonly interval: string;
  readonly zone: Zone;
}

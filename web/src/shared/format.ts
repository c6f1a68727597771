/** The one place where amounts, prices and instants become text for people. */

import { decimal } from "agio-sdk";

export const NOTHING = "–";

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/** "1234567.50" as "1,234,567.50"; decimals as the server wrote them. */
export function grouped(text: string | null | undefined): string {
  if (text === null || text === undefined) return NOTHING;
  const isNegative = text.startsWith("-");
  const [whole = "", fraction] = (isNegative ? text.slice(1) : text).split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${isNegative ? "−" : ""}${groups}${fraction === undefined ? "" : `.${fraction}`}`;
}

/** Grouped, with a plus or minus sign unless it is zero. */
export function signed(text: string | null | undefined): string {
  if (text === null || text === undefined) return NOTHING;
  return tone(text) === "up" ? `+${grouped(text)}` : grouped(text);
}

/** Rounded to `scale` decimals for display, grouped. */
export function rounded(text: string | null | undefined, scale: number): string {
  const value = text === null || text === undefined ? null : decimal.parse(text);
  return value === null ? NOTHING : grouped(decimal.format(decimal.rescale(value, scale)));
}

/** A quantity without trailing zeros beyond its lot's precision. */
export function quantity(text: string | null | undefined): string {
  if (text === null || text === undefined) return NOTHING;
  return grouped(text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

/** How many decimals a step such as a lot needs: 2 for "0.01000000". */
export function decimalsOf(step: string): number {
  return (step.split(".")[1] ?? "").replace(/0+$/, "").length;
}

/** A quantity with the decimals of its lot, so that columns align. */
export function sized(text: string, lotDecimals: number): string {
  const value = decimal.parse(text);
  return value !== null && value.scale > lotDecimals ? rounded(text, lotDecimals) : grouped(text);
}

/** Thousands and millions in short, for volumes: "12.4K", "3.05M". */
export function compact(text: string | null | undefined): string {
  const value = text === null || text === undefined ? null : decimal.parse(text);
  if (value === null) return NOTHING;
  for (const [power, suffix] of [
    [9, "B"],
    [6, "M"],
    [3, "K"],
  ] as const) {
    const limit = { units: 10n ** BigInt(power + 1), scale: 0 };
    if (decimal.compare(decimal.abs(value), limit) >= 0) {
      const short = decimal.rescale({ units: value.units, scale: value.scale + power }, power === 3 ? 1 : 2);
      return grouped(decimal.format(short)) + suffix;
    }
  }
  return quantity(text);
}

export function percent(ratio: number | null | undefined, decimals = 2): string {
  if (ratio === null || ratio === undefined) return NOTHING;
  const text = (ratio * 100).toFixed(decimals);
  return `${Number(text) === 0 ? (0).toFixed(decimals) : text.replace("-", "−")}%`;
}

export function ratio(value: number | null | undefined, decimals = 2): string {
  return value === null || value === undefined ? NOTHING : value.toFixed(decimals).replace("-", "−");
}

export type Tone = "up" | "down" | "flat";

/** Above, below or at zero. */
export function tone(text: string | number | null | undefined): Tone {
  if (text === null || text === undefined) return "flat";
  const order = typeof text === "number" ? Math.sign(text) : decimal.sign(decimal.parse(text) ?? decimal.ZERO);
  if (order === 0) return "flat";
  return order > 0 ? "up" : "down";
}

/** "17:00:00" of an RFC 3339 instant, in UTC; with milliseconds on demand. */
export function clock(instant: string | null | undefined, withMillis = false): string {
  if (instant === null || instant === undefined || instant.length < 19) return NOTHING;
  const millis = withMillis ? `.${(/\.(\d{1,3})/.exec(instant)?.[1] ?? "").padEnd(3, "0")}` : "";
  return instant.slice(11, 19) + millis;
}

/** "17:00:00" of today, "1 Sep 17:00:00" of other days, in UTC. */
export function moment(instant: string | null | undefined, now: Date = new Date()): string {
  if (instant === null || instant === undefined || instant.length < 19) return NOTHING;
  if (instant.slice(0, 10) === now.toISOString().slice(0, 10)) return clock(instant);
  return `${day(instant)} ${clock(instant)}`;
}

/** "1 Sep" of an RFC 3339 instant; with the year on demand. */
export function day(instant: string, withYear = false): string {
  const text = `${Number(instant.slice(8, 10))} ${monthOf(instant)}`;
  return withYear ? `${text} ${instant.slice(0, 4)}` : text;
}

export function monthOf(instant: string): string {
  return MONTHS[Number(instant.slice(5, 7)) - 1] ?? "";
}

/** An average to the precision of `reference`, a price; without one to two decimals, small ones to four. */
export function average(text: string | null, reference: string | null = null): string {
  if (text === null) return NOTHING;
  const isSmall = text.split(".")[0]?.replace("-", "").length === 1;
  return rounded(text, reference?.split(".")[1]?.length ?? (isSmall ? 4 : 2));
}

/** How much of an order is filled: "0.35" when all of it, "0.2 / 0.5" when a part. */
export function filledOf(filled: string, ordered: string): string {
  return filled === ordered ? quantity(filled) : `${quantity(filled)} / ${quantity(ordered)}`;
}

/** Words of a code: "partially_filled" as "Partially filled". */
export function words(code: string): string {
  const text = code.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The beginning and the end of something long: "trq_01ab…9xyz". */
export function shortened(text: string, head = 8, tail = 4): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${text.slice(-tail)}`;
}

/** How long something takes, in its largest unit: "45 s", "12 min", "3 h", "2 d". */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86_400)} d`;
}

/** How old or how far something is: "112 ms", "1.2 s", then as `span`. */
export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (size < 1000) return `${sign}${size < 10 ? Number(size.toFixed(1)) : Math.round(size)} ms`;
  return sign + (size < 60_000 ? `${(size / 1000).toFixed(1)} s` : span(size / 1000));
}

/** A count, grouped. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : grouped(String(Math.trunc(value)));
}

/** "0 B", "512 B", "12.4 KiB", "1.5 MiB". */
export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  const kibibytes = value / 1024;
  return kibibytes < 1024 ? `${kibibytes.toFixed(1)} KiB` : `${(kibibytes / 1024).toFixed(1)} MiB`;
}

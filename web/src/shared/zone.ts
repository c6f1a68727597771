/** Where bars begin, and the wall clock of a time zone. Instants are milliseconds since 1970 UTC. */

export type Zone = "utc" | "local";

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const WEEK = 7 * DAY;
const MONTH = 30 * DAY;
const UNITS: Readonly<Record<string, number>> = { s: SECOND, m: 60_000, h: HOUR, d: DAY, w: WEEK, mo: MONTH };
/** Weeks are counted from the Monday of the first day. */
const FIRST_MONDAY = Date.UTC(1969, 11, 29);

/** Milliseconds of an interval such as `5m`; a month counts as 30 days. Throws RangeError for anything else. */
export function widthOf(interval: string): number {
  const found = /^([1-9]\d{0,4})(s|m|h|d|w|mo)$/.exec(interval);
  const unit = UNITS[found?.[2] ?? ""];
  if (found === null || unit === undefined) throw new RangeError(`not an interval: ${interval}`);
  return Number(found[1]) * unit;
}

/** The IANA name that the server knows. */
export function zoneName(zone: Zone): string {
  return zone === "utc" ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The beginning of the bar that holds an instant: as the server counts, by wall clock beyond an hour. */
export function floorTo(instant: number, interval: string, zoneName: string): number {
  const width = widthOf(interval);
  if (width <= HOUR) return Math.floor(instant / width) * width;
  let wall = wallFloor(instant + offsetAt(instant, zoneName), interval, width);
  let edge = instantOf(wall, zoneName);
  while (edge > instant) {
    wall = wallFloor(wall - 1, interval, width);
    edge = instantOf(wall, zoneName);
  }
  return edge;
}

function wallFloor(wall: number, interval: string, width: number): number {
  if (interval.endsWith("mo")) return monthFloor(wall, width / MONTH);
  const day = Math.floor(wall / DAY) * DAY;
  if (width < DAY) return day + Math.floor((wall - day) / width) * width;
  const anchor = interval.endsWith("w") ? FIRST_MONDAY : 0;
  return anchor + Math.floor((wall - anchor) / width) * width;
}

function monthFloor(wall: number, months: number): number {
  const date = new Date(wall);
  return Date.UTC(date.getUTCFullYear(), Math.floor(date.getUTCMonth() / months) * months);
}

/** The instant at which a wall clock shows a time: the first of two, or where it is skipped. */
function instantOf(wall: number, zoneName: string): number {
  const before = wall - offsetAt(wall - DAY, zoneName);
  if (before + offsetAt(before, zoneName) === wall) return before;
  const after = wall - offsetAt(before, zoneName);
  return after + offsetAt(after, zoneName) === wall ? after : before;
}

const clocks = new Map<string, Intl.DateTimeFormat>();

/** Milliseconds by which the wall clock of a zone is ahead of UTC. */
export function offsetAt(instant: number, zoneName: string): number {
  if (zoneName === "UTC") return 0;
  let clock = clocks.get(zoneName);
  if (clock === undefined) {
    clock = new Intl.DateTimeFormat("en-GB", {
      timeZone: zoneName,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    clocks.set(zoneName, clock);
  }
  const parts = new Map(clock.formatToParts(instant).map((part) => [part.type, Number(part.value)]));
  const of = (name: Intl.DateTimeFormatPartTypes) => parts.get(name) ?? 0;
  const wall = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
  return wall - Math.floor(instant / SECOND) * SECOND;
}

/** The instant's text as the wall clock of a zone shows it, in the shape of RFC 3339 but for the zone. */
export function wallText(instant: string, zone: Zone): string {
  if (zone === "utc") return instant;
  const at = Date.parse(instant);
  return Number.isNaN(at) ? instant : new Date(at + offsetAt(at, zoneName(zone))).toISOString();
}

import type { Agio, StreamConnection } from "agio-sdk";

const MOST = 2_000;

/** Those of all nodes, the oldest of them when there are very many. */
export async function readConnections(agio: Agio): Promise<readonly StreamConnection[]> {
  const items: StreamConnection[] = [];
  for await (const one of agio.connections.list()) {
    items.push(one);
    if (items.length === MOST) break;
  }
  return items;
}

export interface Totals {
  readonly connections: number;
  readonly channels: number;
  /** Of the one that is farthest behind. */
  readonly lag: number;
  readonly queuedBytes: number;
  readonly dropped: number;
}

/** How many messages a connection is behind on the channel where it is farthest behind. */
export function lagOf(one: StreamConnection): number {
  return Math.max(0, ...one.channels.map((channel) => channel.lag ?? 0));
}

export function totalsOf(items: readonly StreamConnection[]): Totals {
  const sum = (of: (one: StreamConnection) => number) => items.reduce((total, one) => total + of(one), 0);
  return {
    connections: items.length,
    channels: sum((one) => one.channels.length),
    lag: Math.max(0, ...items.map(lagOf)),
    queuedBytes: sum((one) => one.queued_bytes),
    dropped: sum((one) => one.dropped),
  };
}

/** Those that hold the text in their id, key, address or a channel's name; the worst off first. */
export function searchConnections(items: readonly StreamConnection[], wanted: string): readonly StreamConnection[] {
  const text = wanted.trim().toLowerCase();
  const words = (one: StreamConnection) =>
    [one.connection_id, one.key_id, one.address, one.door, ...one.channels.map((each) => each.channel)]
      .join(" ")
      .toLowerCase();
  return items
    .filter((one) => words(one).includes(text))
    .sort(
      (left, right) =>
        right.queued_bytes - left.queued_bytes ||
        lagOf(right) - lagOf(left) ||
        left.connection_id.localeCompare(right.connection_id),
    );
}

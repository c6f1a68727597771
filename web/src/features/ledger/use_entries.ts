import type { Agio, LedgerEntry, LedgerEvent, Stream } from "agio-sdk";
import { useCallback, useEffect, useRef, useState } from "react";
import { failedWith, LOADING, READY, type Loading } from "@/shared/live/loading.ts";

const PAGE = 50;
const SOON_MS = 150;
const POLL_MS = 5_000;

export interface Entries {
  readonly entries: readonly LedgerEntry[];
  readonly loading: Loading;
  readonly hasOlder: boolean;
  readonly loadOlder: () => Promise<void>;
  /** Counts the changes that the stream told or a poll asked for. */
  readonly news: number;
}

/**
 * An account's history, newest first.
 *
 * A customer's accounts are told by their log channel; what it says is that there is news, and the entries
 * themselves are read, so that what is shown is what is stored. Other accounts are asked every few seconds.
 */
export function useEntries(agio: Agio, stream: Stream, address: string, owner: string): Entries {
  const [entries, setEntries] = useState<readonly LedgerEntry[]>([]);
  const [loading, setLoading] = useState<Loading>(LOADING);
  const [older, setOlder] = useState<string | null>(null);
  const [news, setNews] = useState(0);
  const known = useRef<readonly LedgerEntry[]>([]);

  const take = useCallback((items: readonly LedgerEntry[]) => {
    known.current = mergeEntries(known.current, items);
    setEntries(known.current);
  }, []);

  useEffect(() => {
    let isCurrent = true;
    let timer: ReturnType<typeof setTimeout> | null = null;

    async function readNewest() {
      timer = null;
      try {
        const top = known.current[0]?.version ?? null;
        let page = await agio.ledger.entries(address, { limit: PAGE });
        if (!isCurrent) return;
        if (top === null) setOlder(page.next_cursor);
        take(page.items);
        // More happened than fits on a page: read on until what is shown is reached.
        while (top !== null && page.next_cursor !== null && (page.items.at(-1)?.version ?? 0) > top + 1) {
          page = await agio.ledger.entries(address, { limit: PAGE, cursor: page.next_cursor });
          if (!isCurrent) return;
          take(page.items);
        }
        setLoading(READY);
        if ((known.current[0]?.version ?? null) !== top || top === null) setNews((count) => count + 1);
      } catch (error) {
        if (isCurrent) setLoading(failedWith(error));
      }
    }

    const soon = () => {
      timer ??= setTimeout(() => void readNewest(), SOON_MS);
    };
    void readNewest();
    const subscription = owner.startsWith("acc_")
      ? stream.subscribe<LedgerEvent>(`ledger:${owner}`, {
          onMessage: ({ data }) => {
            if (!data.legs.some((leg) => leg.account === address)) return;
            if (data.kind !== "journal_posted") setNews((count) => count + 1);
            soon();
          },
          onConfirmed: soon,
        })
      : null;
    const poll = setInterval(() => {
      if (subscription === null && !document.hidden) soon();
    }, POLL_MS);
    return () => {
      isCurrent = false;
      subscription?.close();
      clearInterval(poll);
      if (timer !== null) clearTimeout(timer);
    };
  }, [agio, stream, address, owner, take]);

  const loadOlder = useCallback(async () => {
    if (older === null) return;
    const page = await agio.ledger.entries(address, { limit: PAGE, cursor: older });
    take(page.items);
    setOlder(page.next_cursor);
  }, [agio, address, older, take]);

  return { entries, loading, hasOlder: older !== null, loadOlder, news };
}

/** Each version once, newest first. */
export function mergeEntries(known: readonly LedgerEntry[], more: readonly LedgerEntry[]): readonly LedgerEntry[] {
  const byVersion = new Map([...known, ...more].map((entry) => [entry.version, entry]));
  return [...byVersion.values()].sort((left, right) => right.version - left.version);
}

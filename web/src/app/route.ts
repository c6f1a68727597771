/** Where we are: the part of the address behind `#`, because the server knows one page only. */

import { useCallback, useSyncExternalStore } from "react";

export const PAGES = [
  { name: "trade", label: "Trade" },
  { name: "market", label: "Market" },
  { name: "ledger", label: "Ledger" },
  { name: "custody", label: "Custody" },
  { name: "connections", label: "Connections" },
] as const;

export type PageName = (typeof PAGES)[number]["name"];

export interface Route {
  readonly page: PageName;
  /** What is chosen on the page, such as an account and a journal. */
  readonly parts: readonly string[];
}

export function parseRoute(hash: string): Route {
  const [name, ...parts] = hash.replace(/^#\/?/, "").split("/").map(decoded);
  const page = PAGES.find((one) => one.name === name)?.name ?? "trade";
  return { page, parts: page === name ? parts.filter((part) => part !== "") : [] };
}

export function hrefOf(page: PageName, parts: readonly string[] = []): string {
  // A colon may stand in a fragment as it is, and addresses are full of them.
  return `#/${[page, ...parts].map((part) => encodeURIComponent(part).replaceAll("%3A", ":")).join("/")}`;
}

/** The current route, and how to go elsewhere on the same page. */
export function useRoute(): readonly [Route, (page: PageName, parts?: readonly string[]) => void] {
  const hash = useSyncExternalStore(onHash, () => location.hash);
  const go = useCallback((page: PageName, parts: readonly string[] = []) => {
    const href = hrefOf(page, parts);
    if (href !== location.hash) location.hash = href;
  }, []);
  return [parseRoute(hash), go];
}

function onHash(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

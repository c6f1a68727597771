/** What the groups of verbs need of the client, and lists that are read page by page. */

import type { Agio } from "./client.ts";
import type { Page } from "./models.ts";

export type Rest = Pick<Agio, "get" | "collect" | "request" | "download">;

/** The items of a list, one page at a time; a page is asked for when the one before it is used up. */
export async function* eachOf<T>(
  page: (cursor: string | null) => Promise<Page<T>>,
  first: string | null = null,
): AsyncGenerator<T, void, undefined> {
  let cursor = first;
  do {
    const answer: Page<T> = await page(cursor);
    yield* answer.items;
    if (answer.next_cursor !== null && answer.next_cursor === cursor) return;
    cursor = answer.next_cursor;
  } while (cursor !== null);
}

/** A name as one segment of a path. */
export function pathOf(name: string): string {
  return encodeURIComponent(name);
}

/** How far a panel's data is: the panel says so in words. */

import { ApiError } from "agio-sdk";

export type Loading =
  | { readonly phase: "loading" }
  | { readonly phase: "ready" }
  | { readonly phase: "failed"; readonly message: string };

export const LOADING: Loading = { phase: "loading" };
export const READY: Loading = { phase: "ready" };

export function failedWith(error: unknown): Loading {
  return { phase: "failed", message: explain(error) };
}

/** What went wrong, for people. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) return error.detail || `The server answered ${error.status}.`;
  return error instanceof Error ? error.message : "Something went wrong.";
}

/** What a close code asks of a client. */

import { secondsTold } from "./wire.ts";

/** Close codes of the streaming edge that a client treats in its own way. */
export const CLOSE = {
  NORMAL: 1000,
  ABNORMAL: 1006,
  DISCONNECTED: 4011,
  CREDENTIAL_EXPIRED: 4401,
  TOO_MANY_MESSAGES: 4429,
} as const;

const OPERATOR_SECONDS = 1;
const CAREFUL_SECONDS = 5;

/** What somebody is told who broke the protocol: coming back at once would break it again. */
const PROTOCOL_FAULTS: ReadonlySet<number> = new Set([1002, 1003, 1007, 1009, 1010]);

export interface Verdict {
  readonly mayReturn: boolean;
  /** The least seconds to wait; the backoff may wait longer, never shorter. */
  readonly afterSeconds: number;
  /** The end says something about the credential, which counts for the circuit breaker. */
  readonly isAboutCredential: boolean;
}

/** 4000-4499: return. 4500-4999: do not. 1013: when it says. Anything else is an accident: return. */
export function judgeClose(code: number, reason: string): Verdict {
  const isAboutCredential = code === CLOSE.CREDENTIAL_EXPIRED;
  if (code >= 4500 && code <= 4999) return { mayReturn: false, afterSeconds: 0, isAboutCredential };
  return { mayReturn: true, afterSeconds: Math.max(leastSeconds(code), toldSeconds(reason)), isAboutCredential };
}

function leastSeconds(code: number): number {
  if (code === CLOSE.DISCONNECTED) return OPERATOR_SECONDS;
  return code === CLOSE.TOO_MANY_MESSAGES || PROTOCOL_FAULTS.has(code) ? CAREFUL_SECONDS : 0;
}

function toldSeconds(reason: string): number {
  if (!reason.startsWith("{")) return 0;
  try {
    return secondsTold((JSON.parse(reason) as { retry_after_ms?: unknown }).retry_after_ms);
  } catch {
    return 0;
  }
}

/** Who is signed in: the key lives in this tab's session storage and nowhere else. */

import { Agio, type Me } from "agio-sdk";

const SLOT = "agio.api_key";

export interface Session {
  readonly agio: Agio;
  readonly me: Me;
}

/** Check a key with the server and remember it for this tab. Throws ApiError when it is refused. */
export async function signIn(apiKey: string): Promise<Session> {
  const agio = new Agio({ apiKey });
  const me = await agio.me();
  sessionStorage.setItem(SLOT, apiKey);
  return { agio, me };
}

export function signOut(): void {
  sessionStorage.removeItem(SLOT);
}

export function rememberedKey(): string | null {
  return sessionStorage.getItem(SLOT);
}

/** The ledger's verbs. */

import type * as ledger from "./ledger_models.ts";
import type { Page } from "./models.ts";
import { pathOf, type Rest } from "./rest.ts";

export class Ledger {
  private readonly rest: Rest;

  constructor(rest: Rest) {
    this.rest = rest;
  }

  /** All ledger accounts that the key may see, by address. */
  accounts(): Promise<ledger.LedgerAccount[]> {
    return this.rest.collect((cursor) => this.rest.get("/api/ledger/accounts", { limit: 1000, cursor }));
  }

  account(address: string): Promise<ledger.LedgerAccount> {
    return this.rest.get(of(address));
  }

  /** An account's history, newest first. */
  entries(
    address: string,
    query: { start?: string; end?: string; reference?: string; limit?: number; cursor?: string } = {},
  ): Promise<Page<ledger.LedgerEntry>> {
    return this.rest.get(`${of(address)}/entries`, query);
  }

  /** What was booked on an account at an instant (RFC 3339, with its zone). */
  balanceAsOf(address: string, at: string): Promise<ledger.BalanceAsOf> {
    return this.rest.get(`${of(address)}/balance`, { at });
  }

  /** The account's open holds, newest first. */
  openHolds(address: string, query: { limit?: number; cursor?: string } = {}): Promise<Page<ledger.Hold>> {
    return this.rest.get(`${of(address)}/holds`, query);
  }

  /** Check the account's newest entries, their journals, and the chain's links that these are in. */
  verify(address: string): Promise<ledger.AccountCheck> {
    return this.rest.request("POST", `${of(address)}/verify`, { isRepeatable: true });
  }

  head(): Promise<ledger.ChainHead> {
    return this.rest.get("/api/ledger/head");
  }

  journal(journalId: string): Promise<ledger.Journal> {
    return this.rest.get(`/api/journals/${pathOf(journalId)}`);
  }

  /** Journals of a reference, newest first. */
  journals(
    reference: string,
    query: { limit?: number; cursor?: string } = {},
  ): Promise<Page<ledger.Journal>> {
    return this.rest.get("/api/journals", { reference, ...query });
  }

  hold(holdId: string): Promise<ledger.Hold> {
    return this.rest.get(`/api/holds/${pathOf(holdId)}`);
  }
}

function of(address: string): string {
  return `/api/ledger/accounts/${pathOf(address)}`;
}

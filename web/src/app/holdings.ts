import type { Account, Portfolio as PortfolioModel } from "agio-sdk";
import { useEffect, useState } from "react";
import { explain } from "@/shared/live/loading.ts";
import type { Session } from "./session.ts";

export interface Holdings {
  readonly isLoaded: boolean;
  readonly accounts: readonly Account[];
  readonly portfolios: readonly PortfolioModel[];
  readonly failure: string | null;
}

/** The accounts and portfolios that the key may see; a portfolio it may not see is no failure. */
export function useHoldings({ agio, me }: Session): Holdings {
  const [holdings, setHoldings] = useState<Holdings>({ isLoaded: false, accounts: [], portfolios: [], failure: null });

  useEffect(() => {
    let isCurrent = true;
    const mayReadPortfolios = me.scopes.includes("portfolios:read");
    Promise.all([agio.accounts(), mayReadPortfolios ? agio.portfolios() : []]).then(
      ([accounts, portfolios]) => {
        if (isCurrent) setHoldings({ isLoaded: true, accounts, portfolios, failure: null });
      },
      (error: unknown) => {
        if (isCurrent) setHoldings({ isLoaded: true, accounts: [], portfolios: [], failure: explain(error) });
      },
    );
    return () => {
      isCurrent = false;
    };
  }, [agio, me]);

  return holdings;
}

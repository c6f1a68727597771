import { lazy, Suspense, useEffect, useState } from "react";
import { ConnectionFeed } from "@/shared/live/connection_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { Header } from "./Header.tsx";
import { useHoldings } from "./holdings.ts";
import { useRoute } from "./route.ts";
import type { Session } from "./session.ts";

// Each page comes when it is first looked at.
const TradePage = lazy(async () => ({ default: (await import("./TradePage.tsx")).TradePage }));
const MarketPage = lazy(async () => ({ default: (await import("@/features/market/MarketPage.tsx")).MarketPage }));
const ConnectionsPage = lazy(async () => ({
  default: (await import("@/features/connections/ConnectionsPage.tsx")).ConnectionsPage,
}));
const LedgerPage = lazy(async () => ({ default: (await import("@/features/ledger/LedgerPage.tsx")).LedgerPage }));
const CustodyPage = lazy(async () => ({ default: (await import("@/features/custody/CustodyPage.tsx")).CustodyPage }));

interface Props {
  readonly session: Session;
  /** With the reason when it is not the user's wish. */
  readonly onSignOut: (reason: string | null) => void;
}

/** The signed-in page: opens the connection, closes it when it goes. */
export function Workspace({ session, onSignOut }: Props) {
  const { agio } = session;
  const [connection, setConnection] = useState<ConnectionFeed | null>(null);

  useEffect(() => {
    const feed = new ConnectionFeed(agio);
    setConnection(feed);
    return () => feed.close();
  }, [agio]);

  if (connection === null) return null;
  return <Pages session={session} connection={connection} onSignOut={onSignOut} />;
}

function Pages({ session, connection, onSignOut }: Props & { readonly connection: ConnectionFeed }) {
  const [route, go] = useRoute();
  const holdings = useHoldings(session);
  const [wantedAccount, setAccountId] = useState<string | null>(null);
  const account = holdings.accounts.find((one) => one.account_id === wantedAccount) ?? holdings.accounts[0];

  useClosedStream(connection, onSignOut);

  return (
    <div className={`desk page-${route.page}`}>
      <Header
        me={session.me}
        connection={connection}
        page={route.page}
        accounts={route.page === "trade" ? holdings.accounts : []}
        accountId={account?.account_id ?? null}
        onAccount={setAccountId}
        onSignOut={() => onSignOut(null)}
      />
      <Suspense fallback={<main className="splash">Loading…</main>}>
        {route.page === "trade" && (
          <TradePage session={session} connection={connection} holdings={holdings} account={account} />
        )}
        {route.page === "market" && (
          <MarketPage {...session} connection={connection} parts={route.parts} onGo={(parts) => go("market", parts)} />
        )}
        {route.page === "connections" && <ConnectionsPage {...session} />}
        {route.page === "ledger" && (
          <LedgerPage
            {...session}
            stream={connection.stream}
            accounts={holdings.accounts}
            parts={route.parts}
            onGo={(parts) => go("ledger", parts)}
          />
        )}
        {route.page === "custody" && (
          <CustodyPage
            {...session}
            stream={connection.stream}
            accounts={holdings.accounts}
            parts={route.parts}
            onGo={(parts) => go("custody", parts)}
          />
        )}
      </Suspense>
    </div>
  );
}

/** A stream that is closed for good means that the key is of no use any more. */
function useClosedStream(connection: ConnectionFeed, onSignOut: (reason: string) => void): void {
  const { closedReason } = useLive(connection.store);
  useEffect(() => {
    if (closedReason !== null) onSignOut(`Signed out: ${closedReason}`);
  }, [closedReason, onSignOut]);
}

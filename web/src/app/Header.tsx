import type { Account, Me, Replay } from "agio-sdk";
import { useEffect, useState } from "react";
import { clock, words } from "@/shared/format.ts";
import { STATE_WORDS, type ConnectionFeed, type ConnectionView } from "@/shared/live/connection_feed.ts";
import { useLive } from "@/shared/live/frame_store.ts";
import { Mark } from "@/shared/Mark.tsx";
import { hrefOf, PAGES, type PageName } from "./route.ts";

interface Props {
  readonly me: Me;
  readonly connection: ConnectionFeed;
  readonly page: PageName;
  readonly accounts: readonly Account[];
  readonly accountId: string | null;
  readonly onAccount: (accountId: string) => void;
  readonly onSignOut: () => void;
}

export function Header({ me, connection, page, accounts, accountId, onAccount, onSignOut }: Props) {
  const view = useLive(connection.store);
  return (
    <header className="top">
      <h1>
        <Mark /> agio
      </h1>
      <span className={`badge ${me.environment}`}>{me.environment.toUpperCase()}</span>
      <nav className="pages" aria-label="Pages">
        {PAGES.map(({ name, label }) => (
          <a key={name} href={hrefOf(name)} aria-current={name === page ? "page" : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <AccountChoice accounts={accounts} accountId={accountId} onAccount={onAccount} />
      <span className="spacer" />
      {view.replay !== null && <ReplayChip replay={view.replay} />}
      {view.sources.map(([name, state]) => (
        <span key={name} className={`chip source state-${state}`} title={`Data of ${name}: ${state}`}>
          <i /> {name} {state === "live" ? "" : <b>{state}</b>}
        </span>
      ))}
      <span className={`chip state-${view.state}`} title={heartbeatText(view)} role="status">
        <i /> {STATE_WORDS[view.state]}
      </span>
      <ServerClock offsetMs={view.clockOffsetMs} />
      <a className="top-link" href="/docs" target="_blank" rel="noreferrer">
        API
      </a>
      <button type="button" className="quiet" onClick={onSignOut}>
        Sign out
      </button>
    </header>
  );
}

function AccountChoice({ accounts, accountId, onAccount }: Pick<Props, "accounts" | "accountId" | "onAccount">) {
  const selected = accounts.find((one) => one.account_id === accountId);
  if (accounts.length < 2) return selected === undefined ? null : <span className="account-name">{selected.name}</span>;
  return (
    <label className="account-choice">
      <span className="visually-hidden">Account</span>
      <select value={accountId ?? ""} onChange={(event) => onAccount(event.target.value)}>
        {accounts.map((account) => (
          <option key={account.account_id} value={account.account_id}>
            {account.name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A replay under way, or one that broke off; those that ended as they should are history. */
function ReplayChip({ replay }: { readonly replay: Replay }) {
  if (replay.state === "done" || replay.state === "canceled") return null;
  const share = replay.total === 0 ? 0 : Math.floor((replay.done / replay.total) * 100);
  return (
    <span className="chip replay" title={`${replay.file}: ${replay.done} of ${replay.total} rows, ${replay.state}`}>
      Replay {replay.symbol} {replay.state === "failed" ? "failed" : `${share}%`}
      <meter min={0} max={100} value={share} />
    </span>
  );
}

function ServerClock({ offsetMs }: { readonly offsetMs: number | null }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const text = offsetMs === null ? "--:--:--" : clock(new Date(now + offsetMs).toISOString());
  return (
    <span className="server-clock" title="The server's time">
      {text} <span className="unit">UTC</span>
    </span>
  );
}

function heartbeatText(view: ConnectionView): string {
  if (view.closedReason !== null) return words(view.closedReason);
  if (view.heartbeatAt === null) return "No heartbeat yet";
  return `Last heartbeat ${clock(new Date(view.heartbeatAt + (view.clockOffsetMs ?? 0)).toISOString())} UTC`;
}

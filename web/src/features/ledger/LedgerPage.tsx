import type { Account, Agio, LedgerAccount, Me, Stream } from "agio-sdk";
import { useMemo, useState } from "react";
import { Notice, Panel } from "@/shared/Panel.tsx";
import { useResource } from "@/shared/use_resource.ts";
import { AccountPanel } from "./AccountPanel.tsx";
import { AccountTree } from "./AccountTree.tsx";
import { Follow } from "./Follow.tsx";
import { JournalPanel } from "./JournalPanel.tsx";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly stream: Stream;
  readonly accounts: readonly Account[];
  /** The chosen account's address and journal. */
  readonly parts: readonly string[];
  readonly onGo: (parts: readonly string[]) => void;
}

/** Everything that was booked: accounts, their entries, the journals behind them, and the way of money. */
export function LedgerPage({ agio, me, stream, accounts, parts, onGo }: Props) {
  const mayRead = me.scopes.includes("ledger:read");
  const list = useResource(() => (mayRead ? agio.ledger.accounts() : null), [agio, mayRead]);
  const [fresh, setFresh] = useState<ReadonlyMap<string, LedgerAccount>>(new Map());
  const [wanted = null, journalId = null] = parts;
  const [followed, setFollowed] = useState<{ id: string; turn: number } | null>(null);

  const titles = useMemo(() => {
    const known = new Map(accounts.map((one) => [one.account_id, one.name]));
    return known.set(me.organisation_id, "Organisation");
  }, [accounts, me]);
  const all = useMemo(
    () => (list.value ?? []).map((one) => newer(one, fresh.get(one.address))),
    [list.value, fresh],
  );
  const chosen = all.find((one) => one.address === wanted) ?? (wanted === null ? firstOf(all) : null);

  if (!mayRead) {
    return (
      <main className="book">
        <Panel title="Ledger" area="book-none">
          <Notice>
            This key may not read the ledger: make one with the scope <code>ledger:read</code> (POST /api/keys).
          </Notice>
        </Panel>
      </main>
    );
  }

  const openJournal = (id: string) => onGo([chosen?.address ?? "-", id]);
  const follow = (id: string) => setFollowed((known) => ({ id, turn: (known?.turn ?? 0) + 1 }));
  const openAccount = (address: string) => onGo(journalId === null ? [address] : [address, journalId]);
  return (
    <main className={journalId === null ? "book" : "book has-journal"}>
      <Follow agio={agio} accounts={accounts} wanted={followed} onJournal={openJournal} onAccount={openAccount} />
      <AccountTree
        list={list}
        accounts={all}
        titles={titles}
        selected={chosen?.address ?? null}
        onSelect={(address) => onGo([address])}
      />
      {chosen === null ? (
        <Panel title="Account" area="book-account">
          <Notice>
            {wanted === null || list.value === null
              ? "Choose an account."
              : `There is no ledger account ${wanted} that this key may see.`}
          </Notice>
        </Panel>
      ) : (
        <AccountPanel
          key={chosen.address}
          agio={agio}
          stream={stream}
          account={chosen}
          title={titles.get(chosen.owner) ?? null}
          journalId={journalId}
          onJournal={openJournal}
          onFollow={follow}
          onFresh={(account) => setFresh((known) => new Map(known).set(account.address, account))}
        />
      )}
      <JournalPanel
        agio={agio}
        journalId={journalId}
        address={chosen?.address ?? null}
        onJournal={openJournal}
        onAccount={openAccount}
        onFollow={follow}
        onClose={() => onGo(chosen === null ? [] : [chosen.address])}
      />
    </main>
  );
}

/** A customer's account that something happened on comes first. */
function firstOf(accounts: readonly LedgerAccount[]): LedgerAccount | null {
  return accounts.find((one) => one.owner.startsWith("acc_") && one.version > 0) ?? accounts[0] ?? null;
}

function newer(listed: LedgerAccount, fresh: LedgerAccount | undefined): LedgerAccount {
  return fresh !== undefined && fresh.version >= listed.version ? fresh : listed;
}

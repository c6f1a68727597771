import type { Agio, Hold, LedgerAccount, Stream } from "agio-sdk";
import { useEffect, useRef, useState } from "react";
import { grouped, moment, NOTHING, shortened, signed, tone, words } from "@/shared/format.ts";
import { CopyId } from "@/shared/Id.tsx";
import { Content } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { Tabs } from "@/shared/Tabs.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource, type Resource } from "@/shared/use_resource.ts";
import { Marks } from "./AccountTree.tsx";
import { Proof } from "./Proof.tsx";
import { useEntries, type Entries as EntriesState } from "./use_entries.ts";

interface Props {
  readonly agio: Agio;
  readonly stream: Stream;
  readonly account: LedgerAccount;
  /** Whose it is, in words. */
  readonly title: string | null;
  readonly journalId: string | null;
  readonly onJournal: (journalId: string) => void;
  readonly onFollow: (id: string) => void;
  readonly onFresh: (account: LedgerAccount) => void;
}

type TabName = "entries" | "holds";

export function AccountPanel({ agio, stream, account, title, journalId, onJournal, onFollow, onFresh }: Props) {
  const { address } = account;
  const [tab, setTab] = useState<TabName>("entries");
  const entries = useEntries(agio, stream, address, account.owner);
  const holds = useResource(() => agio.ledger.openHolds(address, { limit: 200 }), [agio, address]);
  const tell = useRef(onFresh);
  tell.current = onFresh;
  const { reload } = holds;

  useEffect(() => {
    if (entries.news === 0) return;
    agio.ledger.account(address).then((fresh) => tell.current(fresh), () => undefined);
    reload();
  }, [agio, address, entries.news, reload]);

  const open = holds.value?.items ?? [];
  const tabs = [
    { name: "entries", label: "Entries" },
    { name: "holds", label: <>Open holds {open.length > 0 && <span className="count">{open.length}</span>}</> },
  ] as const;
  return (
    <section className="panel book-account" aria-label="Account">
      <header className="account-head">
        <div className="account-title">
          <h2>
            {title !== null && <span className="muted">{title} · </span>}
            {account.asset} <Marks account={account} />
          </h2>
          <CopyId id={address} label="address" />
        </div>
        <dl className="balance-figures">
          <div>
            <dt>Balance</dt>
            <dd>{grouped(account.total)}</dd>
          </div>
          <div>
            <dt>Held</dt>
            <dd>{grouped(account.held)}</dd>
          </div>
          <div>
            <dt>Available</dt>
            <dd>{grouped(account.available)}</dd>
          </div>
          <div>
            <dt>Entries</dt>
            <dd>{grouped(String(account.version))}</dd>
          </div>
        </dl>
        <p className="account-rules">{rulesOf(account)}</p>
      </header>
      <Proof agio={agio} address={address} asset={account.asset} onJournal={onJournal} />
      <header className="panel-head sub">
        <Tabs label="Account" tabs={tabs} selected={tab} onSelect={setTab} />
        <span className="panel-note">{account.owner.startsWith("acc_") ? "live" : "asked every 5 s"}</span>
      </header>
      {tab === "entries" && <EntryTable state={entries} journalId={journalId} onJournal={onJournal} onFollow={onFollow} />}
      {tab === "holds" && <OpenHolds holds={holds} onFollow={onFollow} />}
    </section>
  );
}

function rulesOf(account: LedgerAccount): string {
  const rules = account.flags.map((flag) => words(flag));
  if (!/^0*\.?0*$/.test(account.minimum_balance)) rules.push(`At least ${grouped(account.minimum_balance)} stays on it`);
  if (account.code !== "") rules.push(`Code ${account.code}`);
  return [...rules, `Opened ${moment(account.opened_at)} UTC`].join(" · ");
}

interface EntryTableProps {
  readonly state: EntriesState;
  readonly journalId: string | null;
  readonly onJournal: (journalId: string) => void;
  readonly onFollow: (id: string) => void;
}

function EntryTable({ state, journalId, onJournal, onFollow }: EntryTableProps) {
  const { entries, loading, hasOlder, loadOlder } = state;
  const action = useAction();
  return (
    <Content loading={loading} isEmpty={entries.length === 0} empty="Nothing was booked on this account yet.">
      <div className="table-box">
        <Table label="Entries" heads={["#", "Booked UTC", "Journal", "Source", "Reference", "Amount", "Balance after"]} texts={5}>
          {entries.map((entry) => (
            <tr key={entry.version} className={entry.journal_id === journalId ? "chosen" : ""}>
              <td className="text muted">{entry.version}</td>
              <td className="text muted" title={`Booking date ${entry.booking_date}, value date ${entry.value_date}`}>
                {moment(entry.created_at)}
              </td>
              <td className="text">
                <button type="button" className="link mono" title={entry.journal_id} onClick={() => onJournal(entry.journal_id)}>
                  {shortened(entry.journal_id)}
                </button>
              </td>
              <td className="text">{entry.source}</td>
              <td className="text">
                <Reference id={entry.reference} onFollow={onFollow} />
              </td>
              <td className={`text-${tone(entry.amount)}`}>{signed(entry.amount)}</td>
              <td>{grouped(entry.balance)}</td>
            </tr>
          ))}
        </Table>
        {hasOlder && (
          <div className="older">
            <button type="button" className="quiet" disabled={action.isBusy} onClick={() => void action.run(loadOlder)}>
              {action.isBusy ? "Loading…" : "Older entries"}
            </button>
            {action.refusal !== null && <span role="alert" className="text-down">{action.refusal}</span>}
          </div>
        )}
      </div>
    </Content>
  );
}

/** A reference that can be followed to where it comes from. */
export function Reference({ id, onFollow }: { readonly id: string | null; readonly onFollow: (id: string) => void }) {
  if (id === null) return <span className="muted">{NOTHING}</span>;
  return (
    <button type="button" className="link mono" title={`Follow ${id}`} onClick={() => onFollow(id)}>
      {shortened(id)}
    </button>
  );
}

interface OpenHoldsProps {
  readonly holds: Resource<{ readonly items: readonly Hold[] }>;
  readonly onFollow: (id: string) => void;
}

function OpenHolds({ holds, onFollow }: OpenHoldsProps) {
  const items = holds.value?.items ?? [];
  return (
    <Content loading={holds.loading} isEmpty={items.length === 0} empty="Nothing is held on this account.">
      <Table label="Open holds" heads={["Placed UTC", "Hold", "Source", "Reference", "Expires", "Amount", "Captured", "Left"]} texts={5}>
        {items.map((hold) => (
          <tr key={hold.hold_id}>
            <td className="text muted">{moment(hold.created_at)}</td>
            <td className="text">
              <Reference id={hold.hold_id} onFollow={onFollow} />
            </td>
            <td className="text">{hold.source}</td>
            <td className="text">
              <Reference id={hold.reference} onFollow={onFollow} />
            </td>
            <td className="text muted">{moment(hold.expires_at)}</td>
            <td>{grouped(hold.amount)}</td>
            <td>{grouped(hold.captured)}</td>
            <td>{grouped(hold.left)}</td>
          </tr>
        ))}
      </Table>
    </Content>
  );
}

import type { Agio, Journal } from "agio-sdk";
import type { ReactNode } from "react";
import { grouped, moment, shortened, signed, tone, words } from "@/shared/format.ts";
import { CopyId } from "@/shared/Id.tsx";
import { Content, Notice, Panel } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { useResource } from "@/shared/use_resource.ts";
import { Reference } from "./AccountPanel.tsx";
import { sumByAsset } from "./sums.ts";

interface Props {
  readonly agio: Agio;
  readonly journalId: string | null;
  /** The account from which we look. */
  readonly address: string | null;
  readonly onJournal: (journalId: string) => void;
  readonly onAccount: (address: string) => void;
  readonly onFollow: (id: string) => void;
  readonly onClose: () => void;
}

export function JournalPanel({ agio, journalId, onClose, ...props }: Props) {
  const journal = useResource(() => (journalId === null ? null : agio.ledger.journal(journalId)), [agio, journalId]);
  const tools = journalId !== null && (
    <button type="button" className="quiet push-right" onClick={onClose}>
      Close
    </button>
  );
  return (
    <Panel title="Journal" area="book-journal" tools={tools}>
      {journalId === null ? (
        <Notice>Choose an entry's journal to see its legs.</Notice>
      ) : (
        <Content loading={journal.loading} isEmpty={journal.value === null} empty="">
          {journal.value !== null && <Sheet journal={journal.value} {...props} />}
        </Content>
      )}
    </Panel>
  );
}

type SheetProps = Omit<Props, "agio" | "journalId" | "onClose"> & { readonly journal: Journal };

function Sheet({ journal, address, onJournal, onAccount, onFollow }: SheetProps) {
  const captured = journal.legs.filter((leg) => leg.hold_id !== null);
  const metadata = Object.entries(journal.metadata);
  return (
    <div className="sheet">
      <p className="sheet-id">
        <CopyId id={journal.journal_id} label="journal id" /> <span className="muted">no. {journal.journal_no}</span>
        {journal.kind !== "posting" && <span className="tag">{words(journal.kind)}</span>}
      </p>
      {journal.reverses !== null && (
        <p className="sheet-link">
          Reverses{" "}
          <button type="button" className="link mono" onClick={() => onJournal(journal.reverses as string)}>
            {journal.reverses}
          </button>
        </p>
      )}
      {journal.reversed_by !== null && (
        <p className="sheet-link warn">
          Reversed by{" "}
          <button type="button" className="link mono" onClick={() => onJournal(journal.reversed_by as string)}>
            {journal.reversed_by}
          </button>
        </p>
      )}
      <Table label="Legs" heads={["Account", "Amount", "Balance after"]} texts={1}>
        {journal.legs.map((leg, index) => (
          <tr key={index} className={leg.account === address ? "chosen" : ""}>
            <td className="text">
              <button type="button" className="link mono leg-account" title={leg.account} onClick={() => onAccount(leg.account)}>
                {shortAddress(leg.account)}
              </button>
            </td>
            <td className={`text-${tone(leg.amount)}`}>
              {signed(leg.amount)} <span className="unit">{leg.asset}</span>
            </td>
            <td className="muted">{grouped(leg.balance)}</td>
          </tr>
        ))}
      </Table>
      <p className="sums">
        {sumByAsset(journal.legs).map(([asset, sum]) => (
          <span key={asset} className={tone(sum) === "flat" ? "sum" : "sum text-down"}>
            Σ {asset} <strong>{grouped(sum)}</strong>
          </span>
        ))}
      </p>
      <dl className="facts">
        <Fact name="Booked">{moment(journal.created_at)} UTC</Fact>
        <Fact name="Booking date">{journal.booking_date}</Fact>
        <Fact name="Value date">{journal.value_date}</Fact>
        <Fact name="Source">{journal.source}</Fact>
        <Fact name="Reference">
          <Reference id={journal.reference} onFollow={onFollow} />
        </Fact>
        <Fact name="Chain link">#{journal.batch_no}</Fact>
        {captured.map((leg, index) => (
          <Fact key={index} name="Captured">
            {grouped(leg.amount.replace("-", ""))} {leg.asset} of <Reference id={leg.hold_id} onFollow={onFollow} />
          </Fact>
        ))}
        {journal.releases.map((holdId) => (
          <Fact key={holdId} name="Released">
            the rest of <Reference id={holdId} onFollow={onFollow} />
          </Fact>
        ))}
        {metadata.map(([name, value]) => (
          <Fact key={name} name={name}>
            {value}
          </Fact>
        ))}
      </dl>
    </div>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The owner's id in short, the rest in full. */
function shortAddress(address: string): string {
  const [owner = "", ...rest] = address.split(":");
  return [shortened(owner, 8, 4), ...rest].join(":");
}

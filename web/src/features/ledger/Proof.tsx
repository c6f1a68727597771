import type { AccountCheck, Agio, BalanceAsOf } from "agio-sdk";
import { useState } from "react";
import { clock, grouped, moment, shortened } from "@/shared/format.ts";
import { CopyId } from "@/shared/Id.tsx";
import { useAction } from "@/shared/use_action.ts";

interface Props {
  readonly agio: Agio;
  readonly address: string;
  readonly asset: string;
  readonly onJournal: (journalId: string) => void;
}

/** What was on the account at an instant, and whether its history is what the chain hashed. */
export function Proof({ agio, address, asset, onJournal }: Props) {
  const [at, setAt] = useState("");
  const [asOf, setAsOf] = useState<BalanceAsOf | null>(null);
  const [check, setCheck] = useState<AccountCheck | null>(null);
  const asking = useAction();
  const verifying = useAction();

  async function ask() {
    setAsOf(null);
    setAsOf(await agio.ledger.balanceAsOf(address, `${at.length === 16 ? `${at}:00` : at}Z`));
  }

  async function verify() {
    setCheck(null);
    setCheck(await agio.ledger.verify(address));
  }

  return (
    <div className="proof">
      <form
        className="proof-form"
        onSubmit={(event) => {
          event.preventDefault();
          void asking.run(ask);
        }}
      >
        <label htmlFor="as-of">Balance as of (UTC)</label>
        <input id="as-of" className="box" type="datetime-local" step="1" value={at} onChange={(event) => setAt(event.target.value)} />
        <button type="submit" className="quiet" disabled={at === "" || asking.isBusy}>
          Show
        </button>
        <button type="button" className="quiet verify" disabled={verifying.isBusy} onClick={() => void verifying.run(verify)}>
          {verifying.isBusy ? "Verifying…" : "Verify"}
        </button>
      </form>
      <div className="proof-answer" aria-live="polite">
        {asking.refusal !== null && <p className="text-down">{asking.refusal}</p>}
        {asOf !== null && (
          <p>
            <strong>
              {grouped(asOf.total)} {asset}
            </strong>{" "}
            <span className="muted">
              at {moment(asOf.at)} UTC, after {asOf.version} entries
              {asOf.journal_id !== null && ", the last of "}
            </span>
            {asOf.journal_id !== null && (
              <button type="button" className="link mono" onClick={() => onJournal(asOf.journal_id as string)}>
                {shortened(asOf.journal_id)}
              </button>
            )}
          </p>
        )}
        {verifying.refusal !== null && <p className="text-down">{verifying.refusal}</p>}
        {check !== null && <Checked check={check} />}
      </div>
    </div>
  );
}

function Checked({ check }: { readonly check: AccountCheck }) {
  return (
    <div className={check.is_sound ? "verdict sound" : "verdict broken"} role="status">
      <strong>{check.is_sound ? "✓ Sound" : "✗ Broken"}</strong>
      <span className="muted">
        {" "}
        entries {check.first_version} to {check.last_version}, {check.journals} journals and {check.links} chain links
        recomputed at {clock(check.checked_at)} UTC; head #{check.head.batch_no}{" "}
      </span>
      <CopyId id={check.head.hash} label="chain hash" shown={shortened(check.head.hash, 10, 6)} />
      {check.findings.map((one) => (
        <p key={one.what} className="text-down">
          Invariant {one.invariant}: {one.what}
        </p>
      ))}
    </div>
  );
}

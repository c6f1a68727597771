import type { Account, Agio, DryRun as Trial, LimitReading } from "agio-sdk";
import { decimal } from "agio-sdk";
import { useState } from "react";
import { grouped } from "@/shared/format.ts";
import { Refusal, SelectField, TextField } from "@/shared/Form.tsx";
import { Panel } from "@/shared/Panel.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useTerms } from "./RequestFields.tsx";
import { Trace } from "./Trace.tsx";
import type { House } from "./use_house.ts";
import { limitText, requirementText } from "./wording.ts";

interface Props {
  readonly agio: Agio;
  readonly house: House;
  readonly accounts: readonly Account[];
}

/** What would become of a request, under the policy in force or a draft. */
export function DryRun({ agio, house, accounts }: Props) {
  const { wanted, fields, isComplete } = useTerms(house, accounts);
  const [policyId, setPolicyId] = useState("");
  const [initiator, setInitiator] = useState("");
  const [trial, setTrial] = useState<Trial | null>(null);
  const action = useAction();
  const policies = [
    { value: "", label: "The policy in force" },
    ...(house.policy.value?.drafts ?? [])
      .filter((one) => one.status === "draft" || one.status === "scheduled")
      .map((one) => ({ value: one.policy_id, label: `Draft ${one.policy_id}` })),
  ];
  return (
    <Panel title="Dry run" area="house-side">
      <form
        className="sheet"
        onSubmit={(event) => {
          event.preventDefault();
          setTrial(null);
          void action.run(async () => {
            const options = { ...(policyId !== "" && { policy_id: policyId }), ...(initiator.trim() !== "" && { initiator: initiator.trim() }) };
            setTrial(await agio.custody.dryRun({ request: wanted, ...options }));
          });
        }}
      >
        <SelectField label="Policy" value={policyId} options={policies} onChange={setPolicyId} />
        {fields}
        <TextField label="Asked by" value={initiator} isCode placeholder="key_… (else your key)" onChange={setInitiator} />
        <button type="submit" className="primary" disabled={!isComplete || action.isBusy}>
          Try it
        </button>
        <Refusal action={action} />
        {trial !== null && <Answer trial={trial} />}
      </form>
    </Panel>
  );
}

function Answer({ trial }: { readonly trial: Trial }) {
  const { decision, limits, obstacles } = trial;
  return (
    <div className="trial" aria-live="polite">
      <p className={`verdict ${decision.outcome === "allow" ? "sound" : "broken"}`} role="status">
        <strong>{decision.outcome === "allow" ? "Allowed" : "Denied"}</strong>
        <span className="muted"> by policy version {trial.policy_version}: </span>
        {decision.reason}
      </p>
      {decision.approvals.length > 0 && <p>Needs {decision.approvals.map(requirementText).join(" and ")}.</p>}
      {obstacles.map((one) => (
        <p key={one} className="obstacle">
          {one}
        </p>
      ))}
      {limits.map((reading, index) => (
        <Limit key={index} reading={reading} />
      ))}
      <Trace trace={decision.trace} />
    </div>
  );
}

function Limit({ reading }: { readonly reading: LimitReading }) {
  const { limit, used, wanted, allowed, holds } = reading;
  const total = decimal.of(allowed);
  const share = (text: string) => {
    const part = decimal.divide(decimal.multiply(decimal.of(text), { units: 100n, scale: 0 }), total, 2);
    return part === null ? 100 : Math.min(100, decimal.toNumber(part));
  };
  const before = share(used);
  return (
    <div className={holds ? "limit" : "limit over"}>
      <span>{limitText(limit)}</span>
      <span className="muted">
        {grouped(used)} used + {grouped(wanted)} of {grouped(allowed)} {holds ? "" : "· does not fit"}
      </span>
      <svg className="limit-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="4" className="all" />
        <rect x={before} width={Math.min(share(wanted), 100 - before)} height="4" className="wanted" />
        <rect width={before} height="4" className="used" />
      </svg>
    </div>
  );
}

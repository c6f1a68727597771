import type { Account, NewTransferRequest, TargetKind } from "agio-sdk";
import { useState, type ReactNode } from "react";
import { grouped, shortened } from "@/shared/format.ts";
import { SelectField, TextField, type Option } from "@/shared/Form.tsx";
import type { House } from "./use_house.ts";

interface Terms {
  readonly subAccountId: string;
  readonly kind: TargetKind;
  readonly targetId: string;
  readonly amount: string;
  readonly reference: string;
}

/** The terms of a request as a form keeps them; each choice falls back to the first that there is. */
export function useTerms(house: House, accounts: readonly Account[]) {
  const [terms, setTerms] = useState<Terms>({ subAccountId: "", kind: "destination", targetId: "", amount: "", reference: "" });
  const sources = (house.vaults.value ?? []).flatMap(({ vault, subAccounts }) =>
    subAccounts.map((sub) => ({
      value: sub.sub_account_id,
      label: `${vault.name} · ${sub.asset} ${sub.location} · ${grouped(sub.available)} available`,
    })),
  );
  const from = orFirst(sources, terms.subAccountId);
  const targets: Record<TargetKind, readonly Option[]> = {
    destination: (house.destinations.value ?? [])
      .filter((one) => one.revoked_at === null)
      .map((one) => ({ value: one.destination_id, label: `${one.name} · ${shortened(one.address, 10, 4)}` })),
    sub_account: sources.filter((one) => one.value !== from),
    account: accounts.map((one) => ({ value: one.account_id, label: `${one.name} · ${shortened(one.account_id)}` })),
  };
  const to = orFirst(targets[terms.kind], terms.targetId);
  const change = (part: Partial<Terms>) => setTerms((known) => ({ ...known, ...part }));
  const wanted: NewTransferRequest = {
    sub_account_id: from,
    target: { kind: terms.kind, id: to },
    amount: terms.amount.trim(),
    ...(terms.reference.trim() === "" ? {} : { reference: terms.reference.trim() }),
  };

  const fields: ReactNode = (
    <>
      <SelectField label="From" value={from} options={sources} onChange={(subAccountId) => change({ subAccountId })} />
      <SelectField label="To" value={terms.kind} options={KINDS} onChange={(kind) => change({ kind: kind as TargetKind, targetId: "" })} />
      <SelectField
        label="Target"
        value={to}
        options={targets[terms.kind]}
        onChange={(targetId) => change({ targetId })}
        {...(targets[terms.kind].length === 0 && { hint: "There is none of this kind yet." })}
      />
      <TextField label="Amount" value={terms.amount} inputMode="decimal" placeholder="100.00" onChange={(amount) => change({ amount })} />
      <TextField label="Reference" value={terms.reference} placeholder="optional" onChange={(reference) => change({ reference })} />
    </>
  );
  return { wanted, fields, isComplete: from !== "" && to !== "" && wanted.amount !== "", hasSources: sources.length > 0 };
}

const KINDS: readonly Option[] = [
  { value: "destination", label: "An allowed destination" },
  { value: "sub_account", label: "Another sub-account" },
  { value: "account", label: "An account" },
];

function orFirst(options: readonly Option[], value: string): string {
  return options.some((one) => one.value === value) ? value : (options[0]?.value ?? "");
}

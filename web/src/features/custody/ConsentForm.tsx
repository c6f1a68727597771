import type { Agio, Consent, Credential, NewCredential } from "agio-sdk";
import { useState, type FormEvent } from "react";
import { moment, shortened } from "@/shared/format.ts";
import { Refusal, SelectField, TextField } from "@/shared/Form.tsx";
import { CopyId } from "@/shared/Id.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource } from "@/shared/use_resource.ts";

interface Props {
  readonly agio: Agio;
  /** What is agreed to: 32 bytes, hexadecimal. */
  readonly digest: string;
  readonly verb: string;
  readonly onConsent: (consent: Consent) => Promise<void>;
}

/** Agree to a digest by a one-time code, or by a signature that was made elsewhere. */
export function ConsentForm({ agio, digest, verb, onConsent }: Props) {
  const own = useResource(() => agio.custody.credentials(), [agio]);
  const usable = (own.value ?? []).filter((one) => one.revoked_at === null && one.confirmed_at !== null);
  const [chosen, setChosen] = useState<string | null>(null);
  const [proof, setProof] = useState("");
  const action = useAction();
  const credential = usable.find((one) => one.credential_id === chosen) ?? usable[0];

  if (own.loading.phase === "failed") return <p className="refusal">{own.loading.message}</p>;
  if (own.value === null) return null;
  if (credential === undefined) return <Registration agio={agio} known={own.value} onReady={own.reload} />;

  function submit(event: FormEvent) {
    event.preventDefault();
    const { credential_id, method } = credential as Credential;
    const text = proof.trim();
    void action.run(async () => {
      try {
        await onConsent(method === "totp" ? { credential_id, digest, code: text } : { credential_id, digest, signature: text });
      } finally {
        setProof("");
      }
    });
  }

  return (
    <form className="consent" onSubmit={submit}>
      {usable.length > 1 && (
        <SelectField
          label="Credential"
          value={credential.credential_id}
          options={usable.map((one) => ({ value: one.credential_id, label: `${nameOf(one)} ${shortened(one.credential_id)}` }))}
          onChange={setChosen}
        />
      )}
      {credential.method === "totp" ? (
        <TextField label="One-time code" value={proof} onChange={setProof} isCode inputMode="numeric" placeholder="6 digits" />
      ) : (
        <TextField
          label="Ed25519 signature of the digest's 32 bytes"
          value={proof}
          onChange={setProof}
          isCode
          placeholder="128 hexadecimal digits"
        />
      )}
      <button type="submit" className="primary" disabled={proof.trim() === "" || action.isBusy}>
        {verb}
      </button>
      <Refusal action={action} />
    </form>
  );
}

interface RegistrationProps {
  readonly agio: Agio;
  readonly known: readonly Credential[];
  readonly onReady: () => void;
}

/** The first credential of a key: a code generator, made here and confirmed by its first code. */
function Registration({ agio, known, onReady }: RegistrationProps) {
  const [made, setMade] = useState<NewCredential | null>(null);
  const [code, setCode] = useState("");
  const action = useAction();
  const cooling = known.find((one) => one.confirmed_at !== null && one.revoked_at === null);

  if (made === null) {
    return (
      <div className="consent">
        <p className="field-hint">
          {cooling === undefined
            ? "This key has no credential to approve with. Make a code generator here, or register an Ed25519 key: POST /api/custody/credentials."
            : `Usable from ${moment(cooling.usable_from)} UTC.`}
        </p>
        <button
          type="button"
          className="quiet accent"
          disabled={action.isBusy}
          onClick={() => void action.run(async () => setMade(await agio.custody.registerCodeGenerator()))}
        >
          Make a code generator
        </button>
        <Refusal action={action} />
      </div>
    );
  }
  const confirm = (event: FormEvent) => {
    event.preventDefault();
    void action.run(async () => {
      await agio.custody.confirmCredential(made.credential.credential_id, code.trim());
      setMade(null);
      onReady();
    });
  };
  return (
    <form className="consent" onSubmit={confirm}>
      <p className="field-hint">
        Put this secret into your authenticator now; it is not shown again. The code after the one that confirms it is the
        first that approves.
      </p>
      <CopyId id={made.secret ?? ""} label="secret" />
      <TextField label="First code" value={code} onChange={setCode} isCode inputMode="numeric" placeholder="6 digits" />
      <button type="submit" className="primary" disabled={code.trim() === "" || action.isBusy}>
        Confirm
      </button>
      <Refusal action={action} />
    </form>
  );
}

function nameOf(credential: Credential): string {
  return credential.method === "totp" ? "Code generator" : "Ed25519 key";
}

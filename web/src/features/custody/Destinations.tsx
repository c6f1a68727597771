import type { Agio, Destination, Me } from "agio-sdk";
import { useState } from "react";
import { moment, span, words } from "@/shared/format.ts";
import { Refusal, SelectField, TextField } from "@/shared/Form.tsx";
import { Content, Notice, Panel } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { useAction } from "@/shared/use_action.ts";
import { KeyName, StatusTag, useNow } from "./Requests.tsx";
import type { House } from "./use_house.ts";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly house: House;
}

/** Where money may be sent. */
export function Destinations({ agio, me, house }: Props) {
  const now = useNow();
  const action = useAction();
  const items = house.destinations.value ?? [];
  const mayRevoke = me.scopes.includes("custody:admin");
  const revoke = (one: Destination) =>
    void action.run(async () => {
      await agio.custody.revokeDestination(one.destination_id);
      house.reload();
    });
  return (
    <Content
      loading={house.destinations.loading}
      isEmpty={items.length === 0}
      empty={
        <span>
          No address is allowed yet.
          <code className="call">
            POST /api/custody/destinations {`{"kind": "iban", "name": "Supplier", "address": "CH93 0076 2011 6238 5295 7"}`}
          </code>
        </span>
      }
    >
      <Refusal action={action} />
      <div className="table-box">
        <Table label="Destinations" heads={["Name", "Kind", "Address", "Added by", "State", ""]} texts={5}>
          {items.map((one) => (
            <tr key={one.destination_id} title={one.destination_id}>
              <td className="text strong">{one.name}</td>
              <td className="text">{one.kind === "iban" ? "IBAN" : words(one.kind)}</td>
              <td className="text mono">
                {one.address} {one.bic !== null && <span className="muted">{one.bic}</span>}
              </td>
              <td className="text">
                <KeyName keyId={one.added_by} me={me} />
              </td>
              <td className="text">
                <State destination={one} now={now} />
              </td>
              <td>
                {mayRevoke && one.revoked_at === null && (
                  <button type="button" className="row-action" aria-label={`Revoke ${one.name}`} onClick={() => revoke(one)}>
                    Revoke
                  </button>
                )}
              </td>
            </tr>
          ))}
        </Table>
      </div>
    </Content>
  );
}

function State({ destination, now }: { readonly destination: Destination; readonly now: number }) {
  if (destination.revoked_at !== null) return <StatusTag status="revoked" />;
  const left = (Date.parse(destination.usable_from) - now) / 1000;
  if (left <= 0) return <StatusTag status="usable" />;
  return (
    <span title={`Usable from ${moment(destination.usable_from)} UTC`}>
      <StatusTag status="cooling" /> <span className="muted">{span(left)} left</span>
    </span>
  );
}

export function NewDestination({ agio, me, house }: Props) {
  const [kind, setKind] = useState<Destination["kind"]>("iban");
  const [name, setName] = useState("");
  const [address, setAddress] = useState("");
  const [bic, setBic] = useState("");
  const action = useAction();
  if (!me.scopes.includes("custody:admin")) {
    return (
      <Panel title="Allow a destination" area="house-side">
        <Notice>
          Only keys with the scope <code>custody:admin</code> allow destinations.
        </Notice>
      </Panel>
    );
  }
  return (
    <Panel title="Allow a destination" area="house-side">
      <form
        className="sheet"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(async () => {
            await agio.custody.allow({ kind, name, address: address.trim(), ...(bic.trim() !== "" && { bic: bic.trim() }) });
            setName("");
            setAddress("");
            setBic("");
            house.reload();
          });
        }}
      >
        <SelectField label="Kind" value={kind} options={KINDS} onChange={(value) => setKind(value as Destination["kind"])} />
        <TextField label="Name" value={name} onChange={setName} />
        <TextField label="Address" value={address} onChange={setAddress} isCode hint="Its checksum must be right. It cools before money may be sent there." />
        {kind === "iban" && <TextField label="BIC" value={bic} onChange={setBic} isCode placeholder="optional" />}
        <button type="submit" className="primary" disabled={name.trim() === "" || address.trim() === "" || action.isBusy}>
          Allow
        </button>
        <Refusal action={action} />
      </form>
    </Panel>
  );
}

const KINDS = [
  { value: "iban", label: "Bank account (IBAN)" },
  { value: "bitcoin", label: "Bitcoin" },
  { value: "ethereum", label: "Ethereum" },
] as const;

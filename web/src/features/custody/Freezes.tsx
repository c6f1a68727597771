import type { Agio, Freeze, Me } from "agio-sdk";
import { useState } from "react";
import { moment, shortened, words } from "@/shared/format.ts";
import { Refusal, SelectField, TextField } from "@/shared/Form.tsx";
import { Content, Notice, Panel } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import { useAction } from "@/shared/use_action.ts";
import { KeyName, StatusTag } from "./Requests.tsx";
import type { House } from "./use_house.ts";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly house: House;
}

/** What is stopped, and what was. */
export function Freezes({ agio, me, house }: Props) {
  const action = useAction();
  const items = house.freezes.value ?? [];
  const mayLift = me.scopes.includes("custody:admin");
  const lift = (one: Freeze) =>
    void action.run(async () => {
      await agio.custody.lift(one.freeze_id);
      house.reload();
    });
  return (
    <Content
      loading={house.freezes.loading}
      isEmpty={items.length === 0}
      empty={
        <span>
          Nothing is frozen.
          <code className="call">POST /api/custody/freezes {`{"target_kind": "house", "reason": "…"}`}</code>
        </span>
      }
    >
      <Refusal action={action} />
      <div className="table-box">
        <Table label="Freezes" heads={["What", "State", "Reason", "Placed by", "Placed UTC", "Lifted UTC", ""]} texts={6}>
          {items.map((one) => (
            <tr key={one.freeze_id} title={one.freeze_id}>
              <td className="text strong">
                {words(one.target_kind)} {one.target_kind !== "house" && <code>{shortened(one.target_id)}</code>}
              </td>
              <td className="text">
                <StatusTag status={one.lifted_at === null ? "frozen" : "lifted"} />
              </td>
              <td className="text">{one.reason}</td>
              <td className="text">
                <KeyName keyId={one.placed_by} me={me} />
              </td>
              <td className="text muted">{moment(one.placed_at)}</td>
              <td className="text muted">{moment(one.lifted_at)}</td>
              <td>
                {mayLift && one.lifted_at === null && (
                  <button type="button" className="row-action" aria-label={`Lift the freeze of ${one.target_kind} ${one.target_id}`} onClick={() => lift(one)}>
                    Lift
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

export function NewFreeze({ agio, me, house }: Props) {
  const [kind, setKind] = useState<Freeze["target_kind"]>("vault");
  const [target, setTarget] = useState("");
  const [reason, setReason] = useState("");
  const action = useAction();
  if (!me.scopes.includes("custody:admin")) {
    return (
      <Panel title="Place a freeze" area="house-side">
        <Notice>
          Only keys with the scope <code>custody:admin</code> place and lift freezes.
        </Notice>
      </Panel>
    );
  }
  return (
    <Panel title="Place a freeze" area="house-side">
      <form
        className="sheet"
        onSubmit={(event) => {
          event.preventDefault();
          void action.run(async () => {
            await agio.custody.freeze({ target_kind: kind, reason, ...(kind !== "house" && { target_id: target.trim() }) });
            setReason("");
            house.reload();
          });
        }}
      >
        <SelectField label="What" value={kind} options={KINDS} onChange={(value) => setKind(value as Freeze["target_kind"])} />
        {kind !== "house" && <TextField label="Its id" value={target} isCode placeholder={PREFIXES[kind]} onChange={setTarget} />}
        <TextField label="Reason" value={reason} onChange={setReason} hint="Nothing leaves from the answer on. Another key than yours lifts it." />
        <button type="submit" className="primary danger" disabled={reason.trim() === "" || action.isBusy}>
          Freeze
        </button>
        <Refusal action={action} />
      </form>
    </Panel>
  );
}

const KINDS = [
  { value: "vault", label: "A vault" },
  { value: "account", label: "An account or sub-account" },
  { value: "key", label: "A key" },
  { value: "house", label: "The whole house" },
] as const;

const PREFIXES = { vault: "vlt_…", account: "sub_… or acc_…", key: "key_…" } as const;

import type { Me, RequestStatus } from "agio-sdk";
import { useEffect, useState } from "react";
import { grouped, moment, NOTHING, shortened, words } from "@/shared/format.ts";
import { Content } from "@/shared/Panel.tsx";
import { Table } from "@/shared/Table.tsx";
import type { House } from "./use_house.ts";
import { ageOf, countApprovals } from "./wording.ts";

interface Props {
  readonly house: House;
  readonly me: Me;
  readonly selected: string | null;
  readonly onSelect: (requestId: string) => void;
}

export function Requests({ house, me, selected, onSelect }: Props) {
  const now = useNow();
  const items = house.requests.value?.items ?? [];
  return (
    <Content
      loading={house.requests.loading}
      isEmpty={items.length === 0}
      empty={
        <span>
          Nobody has asked for a transfer yet. Ask with <strong>New request</strong>, or
          <code className="call">
            POST /api/custody/requests {`{"sub_account_id": "sub_…", "target": {"kind": "destination", "id": "dst_…"}, "amount": "100.00"}`}
          </code>
        </span>
      }
    >
      <div className="table-box">
        <Table label="Transfer requests" heads={["Request", "Status", "To", "By", "Rule", "Approvals", "Amount", "Age"]} texts={5}>
          {items.map(({ request, approvals }) => {
            const { given, needed } = countApprovals(request, approvals);
            return (
              <tr key={request.request_id} className={request.request_id === selected ? "chosen" : ""}>
                <td className="text">
                  <button type="button" className="link mono" title={request.request_id} onClick={() => onSelect(request.request_id)}>
                    {shortened(request.request_id)}
                  </button>
                  {request.version > 1 && <span className="tag">v{request.version}</span>}
                </td>
                <td className="text">
                  <StatusTag status={request.status} />
                </td>
                <td className="text" title={request.target.shown.join(" ")}>
                  {targetText(request.target)}
                </td>
                <td className="text">
                  <KeyName keyId={request.initiator} me={me} />
                </td>
                <td className="text">{request.decision.rule ?? <span className="muted">no rule</span>}</td>
                <td>{request.status === "approving" ? `${given} / ${needed}` : needed === 0 ? NOTHING : <span className="muted">{needed} needed</span>}</td>
                <td>
                  {grouped(request.amount)} <span className="unit">{request.asset}</span>
                </td>
                <td className="muted" title={`${moment(request.created_at)} UTC`}>
                  {ageOf(request.created_at, now)}
                </td>
              </tr>
            );
          })}
        </Table>
        {house.requests.value?.hasMore === true && (
          <div className="older">
            <button type="button" className="quiet" onClick={house.showMore}>
              Older requests
            </button>
          </div>
        )}
      </div>
    </Content>
  );
}

export function StatusTag({ status }: { readonly status: RequestStatus | string }) {
  return <span className={`status-tag is-${status}`}>{words(status)}</span>;
}

export function KeyName({ keyId, me }: { readonly keyId: string; readonly me: Me }) {
  return (
    <span className="mono" title={keyId}>
      {shortened(keyId)}
      {keyId === me.key_id && <span className="tag">you</span>}
    </span>
  );
}

export function targetText(target: { readonly kind: string; readonly id: string; readonly shown: readonly string[] }): string {
  return target.kind === "destination" ? shortened(target.shown[1] ?? target.id, 8, 4) : shortened(target.id);
}

export function useNow(everyMs = 5_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

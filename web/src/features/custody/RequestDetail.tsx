import type { Account, Agio, Me, TransferRequest } from "agio-sdk";
import { useEffect, useState, type ReactNode } from "react";
import { grouped, moment, words } from "@/shared/format.ts";
import { Refusal, TextField } from "@/shared/Form.tsx";
import { CopyId } from "@/shared/Id.tsx";
import { Content, Notice, Panel } from "@/shared/Panel.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource } from "@/shared/use_resource.ts";
import { ConsentForm } from "./ConsentForm.tsx";
import { KeyName, StatusTag } from "./Requests.tsx";
import { Trace } from "./Trace.tsx";
import type { House } from "./use_house.ts";
import { countApprovals, requirementText } from "./wording.ts";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly house: House;
  readonly accounts: readonly Account[];
  readonly requestId: string | null;
  readonly onClose: () => void;
}

/** One request: its terms, who agreed, what happened, and what may be done with it now. */
export function RequestDetail({ agio, me, house, requestId, onClose }: Props) {
  const { custody } = agio;
  const detail = useResource(() => (requestId === null ? null : readAll(agio, requestId)), [custody, requestId]);
  const { reload } = detail;
  useEffect(() => {
    if (house.news > 0) reload();
  }, [house.news, reload]);

  const changed = () => {
    detail.reload();
    house.reload();
  };
  const tools = requestId !== null && (
    <button type="button" className="quiet push-right" onClick={onClose}>
      Close
    </button>
  );
  return (
    <Panel title="Request" area="house-side" tools={tools}>
      {requestId === null ? (
        <Notice>Choose a request to see its terms and to act on it.</Notice>
      ) : (
        <Content loading={detail.loading} isEmpty={detail.value === null} empty="">
          {detail.value !== null && <Sheet agio={agio} me={me} {...detail.value} onChanged={changed} />}
        </Content>
      )}
    </Panel>
  );
}

async function readAll({ custody }: Agio, requestId: string) {
  const [request, approvals, history] = await Promise.all([
    custody.request(requestId),
    custody.approvals(requestId),
    custody.history(requestId),
  ]);
  return { request, approvals, history };
}

type SheetProps = Awaited<ReturnType<typeof readAll>> & {
  readonly agio: Agio;
  readonly me: Me;
  readonly onChanged: () => void;
};

function Sheet({ agio, me, request, approvals, history, onChanged }: SheetProps) {
  const { given, needed } = countApprovals(request, approvals);
  return (
    <div className="sheet">
      <p className="sheet-figure">
        {grouped(request.amount)} <span className="unit">{request.asset}</span> <StatusTag status={request.status} />
      </p>
      {request.reason !== null && <p className="sheet-reason">{request.reason}</p>}
      <dl className="facts">
        <Fact name="Request">
          <CopyId id={request.request_id} label="request id" />
        </Fact>
        <Fact name="To">
          {words(request.target.kind)} <span className="shown">{request.target.shown.filter((one) => one !== "").join(" ")}</span>
        </Fact>
        <Fact name="From">
          <CopyId id={request.sub_account_id} label="sub-account id" />
        </Fact>
        {request.reference !== null && <Fact name="Reference">{request.reference}</Fact>}
        <Fact name="Asked by">
          <KeyName keyId={request.initiator} me={me} /> <span className="muted">{moment(request.created_at)} UTC</span>
        </Fact>
        <Fact name="Version">{request.version}</Fact>
        <Fact name="Approvals">
          {needed === 0 ? "none needed" : `${given} of ${needed}: ${request.decision.approvals.map(requirementText).join(", ")}`}
        </Fact>
        {request.status === "approving" && <Fact name="Expires">{moment(request.expires_at)} UTC</Fact>}
        <Fact name="Digest">
          <CopyId id={request.digest} label="digest" />
        </Fact>
        {request.hold_id !== null && (
          <Fact name="Hold">
            <CopyId id={request.hold_id} label="hold id" />
          </Fact>
        )}
        {request.journal_id !== null && (
          <Fact name="Journal">
            <CopyId id={request.journal_id} label="journal id" />
          </Fact>
        )}
        {request.external_reference !== null && <Fact name="Paid as">{request.external_reference}</Fact>}
      </dl>
      <Actions agio={agio} me={me} request={request} onChanged={onChanged} />
      <h3>Policy version {request.policy_version}</h3>
      <p className="decision">{request.decision.reason}</p>
      <Trace trace={request.decision.trace} />
      <h3>History</h3>
      <ol className="history">
        {history.map((step) => (
          <li key={step.step_no}>
            <strong>{words(step.what)}</strong> <span className="muted">v{step.version}</span>{" "}
            {step.by_key !== null && <KeyName keyId={step.by_key} me={me} />}
            <time dateTime={step.at}>{moment(step.at)}</time>
            {step.detail !== "" && <span className="history-detail">{step.detail}</span>}
          </li>
        ))}
      </ol>
    </div>
  );
}

interface ActionsProps {
  readonly agio: Agio;
  readonly me: Me;
  readonly request: TransferRequest;
  readonly onChanged: () => void;
}

/** What the key's scopes and the request's status allow; the server has the last word. */
function Actions({ agio, me, request, onChanged }: ActionsProps) {
  const { custody } = agio;
  const { request_id: id, status } = request;
  const [text, setText] = useState("");
  const action = useAction();
  const may = (scope: string) => me.scopes.includes(`custody:${scope}`);
  const isWaiting = status === "approving";
  const mayReject = isWaiting && may("approve");
  const mayCancel = (isWaiting || status === "held") && may("write");
  const mayReport = status === "released" && may("admin");

  const act = (work: () => Promise<TransferRequest>) =>
    void action.run(async () => {
      await work();
      setText("");
      onChanged();
    });

  const button = (label: string, work: () => Promise<TransferRequest>, tone = "") => (
    <button type="button" className={`quiet ${tone}`} disabled={action.isBusy} onClick={() => act(work)}>
      {label}
    </button>
  );
  return (
    <div className="actions">
      {isWaiting && may("approve") && (
        <ConsentForm
          agio={agio}
          digest={request.digest}
          verb="Approve"
          onConsent={async (consent) => {
            await custody.approve(id, consent);
            onChanged();
          }}
        />
      )}
      {status === "held" && may("write") && (
        <button type="button" className="primary" disabled={action.isBusy} onClick={() => act(() => custody.release(id))}>
          Release
        </button>
      )}
      {(mayReject || mayCancel || mayReport) && (
        <TextField label={mayReport ? "Bank's reference, or why it failed" : "Reason"} value={text} onChange={setText} />
      )}
      <div className="buttons">
        {mayReject && button("Reject", () => custody.reject(id, text), "danger")}
        {mayCancel && button("Cancel request", () => custody.cancel(id, text), "danger")}
        {mayReport && button("Settle", () => custody.settle(id, text), "accent")}
        {mayReport && button("Report failure", () => custody.fail(id, text), "danger")}
      </div>
      <Refusal action={action} />
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

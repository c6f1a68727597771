import type { Agio, Me, Policy, PolicyDocument } from "agio-sdk";
import { moment, shortened, span, words } from "@/shared/format.ts";
import { Refusal } from "@/shared/Form.tsx";
import { CopyId } from "@/shared/Id.tsx";
import { Content } from "@/shared/Panel.tsx";
import { useAction } from "@/shared/use_action.ts";
import { useResource } from "@/shared/use_resource.ts";
import { ConsentForm } from "./ConsentForm.tsx";
import { KeyName, StatusTag, useNow } from "./Requests.tsx";
import type { House } from "./use_house.ts";
import { conditionTexts, limitText, requirementText } from "./wording.ts";

interface Props {
  readonly agio: Agio;
  readonly me: Me;
  readonly house: House;
}

const EXAMPLE = `POST /api/custody/policy/drafts
{"document": {
  "groups": {"treasury": ["key_…", "key_…"]},
  "rules": [{"name": "payments", "action": "allow",
             "when": {"kinds": ["withdrawal"], "assets": ["USD"]},
             "approvals": [{"group": "treasury", "required": 2}]}],
  "changes": {"group": "treasury", "required": 2, "delay_seconds": 3600}}}`;

/** The policy in force, rule by rule, and the drafts that wait. */
export function PolicyBook({ agio, me, house }: Props) {
  const { value, loading } = house.policy;
  const inForce = value?.inForce.policy ?? null;
  const waiting = value?.drafts.filter((one) => one.status === "draft" || one.status === "scheduled") ?? [];
  return (
    <Content loading={loading} isEmpty={value === null} empty="">
      <div className="policy">
        {waiting.map((one) => (
          <Draft key={one.policy_id} agio={agio} me={me} house={house} policyId={one.policy_id} base={inForce} />
        ))}
        {inForce === null ? (
          <div className="policy-none">
            <h3>No policy is in force: everything is denied.</h3>
            <p>Draft one. The members of its own change group agree to the first policy.</p>
            <pre className="call">{EXAMPLE}</pre>
          </div>
        ) : (
          <section aria-label="Policy in force">
            <h3>
              Version {inForce.version} <StatusTag status="active" />
              <span className="muted"> since {moment(inForce.activated_at)} UTC</span>
            </h3>
            <Document document={inForce.document} me={me} />
          </section>
        )}
      </div>
    </Content>
  );
}

function Document({ document, me }: { readonly document: PolicyDocument; readonly me: Me }) {
  return (
    <>
      <ol className="rules" aria-label="Rules">
        {document.rules.map((rule, index) => (
          <li key={rule.name} className={`rule ${rule.action}`}>
            <p>
              <span className="rule-no">{index + 1}</span>
              <strong>{rule.name}</strong> <span className={`tag ${rule.action}`}>{rule.action}</span>
              <span className="rule-when">{conditionTexts(rule.when).join(" ")}</span>
            </p>
            {rule.approvals.length > 0 && <p className="rule-line">Approvals: {rule.approvals.map(requirementText).join(" and ")}</p>}
            {rule.limits.length > 0 && <p className="rule-line">Limits: {rule.limits.map(limitText).join("; ")}</p>}
          </li>
        ))}
        <li className="rule deny last">
          <p>
            <span className="rule-no" />
            <span className="muted">What no rule allows is denied.</span>
          </p>
        </li>
      </ol>
      <dl className="facts">
        {Object.entries(document.groups).map(([name, members]) => (
          <div key={name}>
            <dt>Group {name}</dt>
            <dd className="members">
              {members.map((member) => (
                <KeyName key={member} keyId={member} me={me} />
              ))}
            </dd>
          </div>
        ))}
        <div>
          <dt>Changes</dt>
          <dd>
            {document.changes.required} of {document.changes.group}, then {span(document.changes.delay_seconds)}
          </dd>
        </div>
        <div>
          <dt>Cooling</dt>
          <dd>
            destinations {span(document.destination_cooling_seconds)}, credentials {span(document.credential_cooling_seconds)}
          </dd>
        </div>
      </dl>
    </>
  );
}

interface DraftProps extends Props {
  readonly policyId: string;
  readonly base: Policy | null;
}

/** A draft on its way: who agreed, how long it still waits, and what it says. */
function Draft({ agio, me, house, policyId, base }: DraftProps) {
  const draft = useResource(() => agio.custody.draft(policyId), [agio, policyId, house.news]);
  const now = useNow(1_000);
  const action = useAction();
  if (draft.value === null) return null;
  const { status, digest, approvals, activates_at, drafted_by, document } = draft.value;
  // The quorum is that of the policy in force; the first policy is agreed to by its own.
  const { changes } = (base ?? draft.value).document;
  const left = activates_at === null ? 0 : (Date.parse(activates_at) - now) / 1000;
  return (
    <section className="draft" aria-label={`Draft ${policyId}`}>
      <h3>
        Draft {shortened(policyId)} <StatusTag status={status} />
        <span className="muted">
          {" "}
          by <KeyName keyId={drafted_by} me={me} />
        </span>
      </h3>
      <p>
        {approvals.filter((one) => one.voided_at === null).length} of {changes.required} of {changes.group} agreed
        {status === "scheduled" && (left > 0 ? ` · may be activated in ${span(left)}` : " · may be activated now")}
      </p>
      <p className="muted">
        Digest <CopyId id={digest} label="digest" />
      </p>
      <details>
        <summary>{words("what_it_says")}</summary>
        <Document document={document} me={me} />
      </details>
      {status === "draft" && me.scopes.includes("custody:approve") && (
        <ConsentForm
          agio={agio}
          digest={digest}
          verb="Agree to this policy"
          onConsent={async (consent) => {
            await agio.custody.approveDraft(policyId, consent);
            house.reload();
          }}
        />
      )}
      {status === "scheduled" && left <= 0 && me.scopes.includes("custody:admin") && (
        <button
          type="button"
          className="primary"
          disabled={action.isBusy}
          onClick={() =>
            void action.run(async () => {
              await agio.custody.activateDraft(policyId);
              house.reload();
            })
          }
        >
          Activate
        </button>
      )}
      <Refusal action={action} />
    </section>
  );
}

/** Custody's objects: vaults, and what guards them. */

import type { DecimalText, Instant } from "./models.ts";

export interface Vault {
  readonly vault_id: string;
  readonly name: string;
  readonly created_by: string;
  readonly created_at: Instant;
}

/** One asset in one location of a vault; `held` waits for its release or settlement. */
export interface SubAccount {
  readonly sub_account_id: string;
  readonly vault_id: string;
  readonly asset: string;
  readonly location: string;
  readonly ledger_account: string;
  readonly total: DecimalText;
  readonly held: DecimalText;
  readonly available: DecimalText;
  readonly created_at: Instant;
}

export type RequestStatus = "created" | "approving" | "held" | "released" | "settled" | "failed" | "cancelled";
export type TargetKind = "destination" | "sub_account" | "account";

export interface RequestTarget {
  readonly kind: TargetKind;
  readonly id: string;
}

export interface Requirement {
  readonly group: string;
  readonly required: number;
}

export interface PolicyLimit {
  readonly kind: "per_transaction" | "rolling" | "share_of_balance" | "count";
  readonly amount: DecimalText | null;
  readonly window_seconds: number | null;
  readonly count: number | null;
  readonly basis_points: number | null;
  readonly per: string;
}

export interface RuleCheck {
  readonly condition: string;
  readonly expected: string;
  readonly actual: string;
  readonly holds: boolean;
}

export interface RuleTrace {
  readonly position: number;
  readonly rule: string;
  readonly action: "allow" | "deny";
  readonly matches: boolean;
  readonly decided: boolean;
  readonly checks: readonly RuleCheck[];
}

/** What the policy says, and the trace of all rules in order. */
export interface Decision {
  readonly outcome: "allow" | "deny";
  readonly rule: string | null;
  readonly position: number | null;
  readonly reason: string;
  readonly approvals: readonly Requirement[];
  readonly limits: readonly PolicyLimit[];
  readonly trace: readonly RuleTrace[];
}

/** Approvers sign the 32 bytes of `digest`. */
export interface TransferRequest {
  readonly request_id: string;
  readonly version: number;
  readonly kind: "withdrawal" | "internal";
  readonly status: RequestStatus;
  readonly vault_id: string;
  readonly sub_account_id: string;
  readonly asset: string;
  readonly amount: DecimalText;
  readonly target: RequestTarget & { readonly shown: readonly string[] };
  readonly reference: string | null;
  readonly initiator: string;
  readonly editors: readonly string[];
  readonly policy_version: number;
  readonly decision: Decision;
  readonly digest: string;
  readonly reason_code: string | null;
  readonly reason: string | null;
  readonly hold_id: string | null;
  readonly journal_id: string | null;
  readonly external_reference: string | null;
  readonly created_at: Instant;
  readonly updated_at: Instant;
  readonly expires_at: Instant;
}

export interface NewTransferRequest {
  readonly sub_account_id: string;
  readonly target: RequestTarget;
  readonly amount: DecimalText;
  readonly reference?: string;
}

export interface RequestStep {
  readonly step_no: number;
  readonly what: string;
  readonly version: number;
  readonly status: RequestStatus;
  readonly by_key: string | null;
  readonly detail: string;
  readonly at: Instant;
}

export interface Approval {
  readonly key_id: string;
  readonly version: number;
  readonly method: "ed25519" | "totp";
  readonly digest: string;
  readonly signature: string | null;
  readonly approved_at: Instant;
  readonly voided_at: Instant | null;
}

/** Consent to a digest: a signature of its 32 bytes (hexadecimal), or a one-time code. */
export interface Consent {
  readonly credential_id: string;
  readonly digest: string;
  readonly signature?: string;
  readonly code?: string;
}

export interface Credential {
  readonly credential_id: string;
  readonly key_id: string;
  readonly method: "ed25519" | "totp";
  readonly public_key: string | null;
  readonly registered_at: Instant;
  readonly confirmed_at: Instant | null;
  readonly usable_from: Instant;
  readonly locked_until: Instant | null;
  readonly revoked_at: Instant | null;
}

/** The secret of a code generator is told here and nowhere else. */
export interface NewCredential {
  readonly credential: Credential;
  readonly secret: string | null;
  readonly uri: string | null;
}

export interface PolicyConditions {
  readonly kinds: readonly string[];
  readonly assets: readonly string[];
  readonly vaults: readonly string[];
  readonly locations: readonly string[];
  readonly targets: readonly string[];
  readonly initiator_groups: readonly string[];
  readonly min_amount: DecimalText | null;
  readonly max_amount: DecimalText | null;
}

export interface PolicyRule {
  readonly name: string;
  readonly action: "allow" | "deny";
  readonly when: PolicyConditions;
  readonly approvals: readonly Requirement[];
  readonly limits: readonly PolicyLimit[];
}

export interface PolicyDocument {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly PolicyRule[];
  readonly changes: { readonly group: string; readonly required: number; readonly delay_seconds: number };
  readonly destination_cooling_seconds: number;
  readonly credential_cooling_seconds: number;
}

export type PolicyStatus = "draft" | "scheduled" | "active" | "retired" | "discarded";

/** A draft or version without its document. */
export interface PolicySummary {
  readonly policy_id: string;
  readonly status: PolicyStatus;
  readonly version: number;
  readonly base_version: number;
  readonly drafted_by: string;
  readonly drafted_at: Instant;
  readonly activates_at: Instant | null;
  readonly activated_at: Instant | null;
  readonly ended_at: Instant | null;
}

export interface Policy extends PolicySummary {
  readonly document: PolicyDocument;
  readonly digest: string;
  readonly approvals: readonly Approval[];
}

/** Version 0, without a policy, denies everything. */
export interface PolicyInForce {
  readonly version: number;
  readonly policy: Policy | null;
}

export interface LimitReading {
  readonly limit: PolicyLimit;
  readonly used: DecimalText;
  readonly wanted: DecimalText;
  readonly allowed: DecimalText;
  readonly holds: boolean;
}

export interface DryRun {
  readonly policy_version: number;
  readonly decision: Decision;
  readonly limits: readonly LimitReading[];
  readonly obstacles: readonly string[];
}

export interface TryPolicy {
  readonly request: NewTransferRequest;
  readonly policy_id?: string;
  readonly initiator?: string;
}

export interface Destination {
  readonly destination_id: string;
  readonly kind: "iban" | "bitcoin" | "ethereum";
  readonly name: string;
  readonly address: string;
  readonly bic: string | null;
  readonly added_by: string;
  readonly added_at: Instant;
  readonly usable_from: Instant;
  readonly revoked_at: Instant | null;
  readonly revoked_by: string | null;
}

export interface NewDestination {
  readonly kind: Destination["kind"];
  readonly name: string;
  readonly address: string;
  readonly bic?: string;
}

export interface Freeze {
  readonly freeze_id: string;
  readonly target_kind: "house" | "vault" | "account" | "key";
  readonly target_id: string;
  readonly reason: string;
  readonly placed_by: string;
  readonly placed_at: Instant;
  readonly lifted_by: string | null;
  readonly lifted_at: Instant | null;
}

export interface NewFreeze {
  readonly target_kind: Freeze["target_kind"];
  readonly target_id?: string;
  readonly reason: string;
}

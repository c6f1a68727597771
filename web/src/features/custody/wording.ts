/** Policies, limits and approvals in words. Pure. */

import type { Approval, PolicyConditions, PolicyLimit, Requirement, RuleTrace, TransferRequest } from "agio-sdk";
import { grouped, shortened, span, words } from "@/shared/format.ts";

/** "up to 5,000.00 each", "up to 8,000.00 in 1 d per vault". */
export function limitText(limit: PolicyLimit): string {
  const window = limit.window_seconds === null ? "" : ` in ${span(limit.window_seconds)}`;
  const per = limit.per === "sub_account" ? "" : ` per ${words(limit.per).toLowerCase()}`;
  switch (limit.kind) {
    case "per_transaction":
      return `up to ${grouped(limit.amount)} each`;
    case "rolling":
      return `up to ${grouped(limit.amount)}${window}${per}`;
    case "count":
      return `at most ${limit.count} requests${window}${per}`;
    case "share_of_balance":
      return `at most ${percentOf(limit.basis_points ?? 0)} of the balance${window}`;
  }
}

/** 1,250 basis points as "12.5%". */
function percentOf(basisPoints: number): string {
  return `${String(basisPoints / 100)}%`;
}

export function requirementText(requirement: Requirement): string {
  return `${requirement.required} of ${requirement.group}`;
}

/** What a rule asks of a request, one clause for each condition that it states. */
export function conditionTexts(when: PolicyConditions): readonly string[] {
  const texts: string[] = [];
  if (when.kinds.length > 0) texts.push(when.kinds.join(" or "));
  if (when.assets.length > 0) texts.push(`of ${when.assets.join(", ")}`);
  if (when.vaults.length > 0) texts.push(`from ${when.vaults.map((id) => shortened(id)).join(", ")}`);
  if (when.locations.length > 0) texts.push(`in ${when.locations.join(", ")}`);
  if (when.targets.length > 0) texts.push(`to ${when.targets.map((id) => shortened(id)).join(", ")}`);
  if (when.initiator_groups.length > 0) texts.push(`asked by ${when.initiator_groups.join(", ")}`);
  if (when.min_amount !== null) texts.push(`from ${grouped(when.min_amount)}`);
  if (when.max_amount !== null) texts.push(`up to ${grouped(when.max_amount)}`);
  return texts.length === 0 ? ["any request"] : texts;
}

/** Why a rule decided, or why it did not. */
export function traceText(trace: RuleTrace): string {
  if (trace.decided) return `It is the first that matches; it says ${trace.action}.`;
  if (trace.matches) return "It matches too, but an earlier rule decided.";
  const failed = trace.checks.filter((check) => !check.holds);
  return failed
    .map((check) => `${words(check.condition)}: wants ${check.expected}, is ${check.actual === "" ? "none" : check.actual}`)
    .join("; ");
}

/** Approvals of the version in question that still count, and how many are asked for. */
export function countApprovals(
  request: Pick<TransferRequest, "version" | "decision">,
  approvals: readonly Pick<Approval, "version" | "voided_at">[],
): { readonly given: number; readonly needed: number } {
  const given = approvals.filter((one) => one.version === request.version && one.voided_at === null).length;
  return { given, needed: request.decision.approvals.reduce((sum, one) => sum + one.required, 0) };
}

export function ageOf(instant: string, now: number): string {
  return span((now - Date.parse(instant)) / 1000);
}

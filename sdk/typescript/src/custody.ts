/** Custody's verbs. Writes that the server can tell apart by a key are sent with one. */

import { randomId } from "./client.ts";
import type * as custody from "./custody_models.ts";
import type { Page } from "./models.ts";
import { pathOf, type Rest } from "./rest.ts";

export class Custody {
  private readonly rest: Rest;

  constructor(rest: Rest) {
    this.rest = rest;
  }

  vaults(): Promise<custody.Vault[]> {
    return this.rest.collect((cursor) => this.rest.get("/api/vaults", { cursor }));
  }

  async subAccounts(vaultId: string): Promise<readonly custody.SubAccount[]> {
    return (await this.rest.get<Page<custody.SubAccount>>(`/api/vaults/${pathOf(vaultId)}/sub-accounts`)).items;
  }

  /** Transfer requests, newest first. */
  requests(
    query: { status?: custody.RequestStatus; vault_id?: string; limit?: number; cursor?: string } = {},
  ): Promise<Page<custody.TransferRequest>> {
    return this.rest.get("/api/custody/requests", query);
  }

  request(requestId: string): Promise<custody.TransferRequest> {
    return this.rest.get(of(requestId));
  }

  /** Ask for a transfer; what the policy denies comes back as `failed`, with its reason. */
  ask(wanted: custody.NewTransferRequest, key: string = randomId()): Promise<custody.TransferRequest> {
    return this.create("/api/custody/requests", wanted, key);
  }

  async history(requestId: string): Promise<readonly custody.RequestStep[]> {
    return (await this.rest.get<Page<custody.RequestStep>>(`${of(requestId)}/history`)).items;
  }

  async approvals(requestId: string): Promise<readonly custody.Approval[]> {
    return (await this.rest.get<Page<custody.Approval>>(`${of(requestId)}/approvals`)).items;
  }

  approve(requestId: string, consent: custody.Consent): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/approvals`, consent);
  }

  reject(requestId: string, reason: string): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/reject`, { reason });
  }

  cancel(requestId: string, reason: string): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/cancel`, { reason });
  }

  release(requestId: string): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/release`);
  }

  settle(requestId: string, externalReference: string): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/settle`, { external_reference: externalReference });
  }

  fail(requestId: string, reason: string): Promise<custody.TransferRequest> {
    return this.act(`${of(requestId)}/fail`, { reason });
  }

  // Policy

  policy(): Promise<custody.PolicyInForce> {
    return this.rest.get("/api/custody/policy");
  }

  /** Drafts and versions, newest first. */
  drafts(query: { limit?: number; cursor?: string } = {}): Promise<Page<custody.PolicySummary>> {
    return this.rest.get("/api/custody/policy/drafts", query);
  }

  draft(policyId: string): Promise<custody.Policy> {
    return this.rest.get(`/api/custody/policy/drafts/${pathOf(policyId)}`);
  }

  approveDraft(policyId: string, consent: custody.Consent): Promise<custody.Policy> {
    return this.act(`/api/custody/policy/drafts/${pathOf(policyId)}/approvals`, consent);
  }

  activateDraft(policyId: string): Promise<custody.Policy> {
    return this.act(`/api/custody/policy/drafts/${pathOf(policyId)}/activate`);
  }

  dryRun(trial: custody.TryPolicy): Promise<custody.DryRun> {
    return this.rest.request("POST", "/api/custody/policy/dry-run", { body: trial, isRepeatable: true });
  }

  // Destinations, freezes, credentials

  destinations(): Promise<custody.Destination[]> {
    return this.rest.collect((cursor) => this.rest.get("/api/custody/destinations", { cursor }));
  }

  allow(destination: custody.NewDestination, key: string = randomId()): Promise<custody.Destination> {
    return this.create("/api/custody/destinations", destination, key);
  }

  revokeDestination(destinationId: string): Promise<custody.Destination> {
    return this.rest.request("DELETE", `/api/custody/destinations/${pathOf(destinationId)}`, { isRepeatable: true });
  }

  freezes(query: { limit?: number; cursor?: string } = {}): Promise<Page<custody.Freeze>> {
    return this.rest.get("/api/custody/freezes", query);
  }

  freeze(freeze: custody.NewFreeze, key: string = randomId()): Promise<custody.Freeze> {
    return this.create("/api/custody/freezes", freeze, key);
  }

  lift(freezeId: string): Promise<custody.Freeze> {
    return this.rest.request("DELETE", `/api/custody/freezes/${pathOf(freezeId)}`, { isRepeatable: false });
  }

  /** Credentials of the calling key. */
  async credentials(): Promise<readonly custody.Credential[]> {
    return (await this.rest.get<Page<custody.Credential>>("/api/custody/credentials")).items;
  }

  registerCodeGenerator(): Promise<custody.NewCredential> {
    return this.act("/api/custody/credentials", { method: "totp" });
  }

  confirmCredential(credentialId: string, code: string): Promise<custody.Credential> {
    return this.act(`/api/custody/credentials/${pathOf(credentialId)}/confirm`, { code });
  }

  private create<T>(path: string, body: object, idempotencyKey: string): Promise<T> {
    return this.rest.request("POST", path, { body, idempotencyKey, isRepeatable: true });
  }

  /** A step that the server takes once: not repeated by itself when the answer is lost. */
  private act<T>(path: string, body?: object): Promise<T> {
    return this.rest.request("POST", path, body === undefined ? { isRepeatable: false } : { body, isRepeatable: false });
  }
}

function of(requestId: string): string {
  return `/api/custody/requests/${pathOf(requestId)}`;
}

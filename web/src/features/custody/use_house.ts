import type { Agio, Approval, Destination, Freeze, Me, PolicyInForce, PolicySummary, Stream, SubAccount, TransferRequest, Vault } from "agio-sdk";
import { useCallback, useEffect, useState } from "react";
import { useResource, type Resource } from "@/shared/use_resource.ts";

const SOON_MS = 150;
const PAGE = 50;

export interface Kept {
  readonly vault: Vault;
  readonly subAccounts: readonly SubAccount[];
}

export interface Asked {
  readonly request: TransferRequest;
  readonly approvals: readonly Approval[];
}

export interface House {
  readonly vaults: Resource<readonly Kept[]>;
  readonly requests: Resource<{ readonly items: readonly Asked[]; readonly hasMore: boolean }>;
  readonly policy: Resource<{ readonly inForce: PolicyInForce; readonly drafts: readonly PolicySummary[] }>;
  readonly destinations: Resource<readonly Destination[]>;
  readonly freezes: Resource<readonly Freeze[]>;
  readonly reload: () => void;
  readonly showMore: () => void;
  /** Counts what happened, for those that read more. */
  readonly news: number;
}

/** Everything of the tenant's custody; read again when its channel tells that something happened. */
export function useHouse(agio: Agio, me: Me, stream: Stream): House {
  const { custody } = agio;
  const [shown, setShown] = useState(PAGE);
  const [news, setNews] = useState(0);
  const vaults = useResource(async () => {
    const all = await custody.vaults();
    return Promise.all(all.map(async (vault) => ({ vault, subAccounts: await custody.subAccounts(vault.vault_id) })));
  }, [custody]);
  const requests = useResource(async () => {
    const page = await custody.requests({ limit: shown });
    const items = await Promise.all(
      page.items.map(async (request) => ({
        request,
        approvals: request.status === "approving" ? await custody.approvals(request.request_id) : [],
      })),
    );
    return { items, hasMore: page.next_cursor !== null };
  }, [custody]);
  const policy = useResource(async () => {
    const [inForce, drafts] = await Promise.all([custody.policy(), custody.drafts({ limit: 20 })]);
    return { inForce, drafts: drafts.items };
  }, [custody]);
  const destinations = useResource(() => custody.destinations(), [custody]);
  const freezes = useResource(async () => (await custody.freezes({ limit: 100 })).items, [custody]);

  const reloads = [vaults.reload, requests.reload, policy.reload, destinations.reload, freezes.reload];
  const reload = useCallback(() => {
    for (const one of reloads) one();
    setNews((count) => count + 1);
  }, reloads);

  useEffect(() => requests.reload(), [requests.reload, shown]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const subscription = stream.subscribe(`custody:${me.organisation_id}:${me.environment}`, {
      onMessage: () => {
        timer ??= setTimeout(() => {
          timer = null;
          reload();
        }, SOON_MS);
      },
    });
    return () => {
      subscription.close();
      if (timer !== null) clearTimeout(timer);
    };
  }, [stream, me, reload]);

  const showMore = useCallback(() => setShown((count) => count + PAGE), []);
  return { vaults, requests, policy, destinations, freezes, reload, showMore, news };
}

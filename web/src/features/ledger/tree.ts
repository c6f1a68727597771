/** Ledger accounts as a tree: addresses are split at their colons. Pure. */

import type { LedgerAccount } from "agio-sdk";

export interface TreeNode {
  /** This part of the address. */
  readonly part: string;
  /** The whole address up to here. */
  readonly path: string;
  /** How people call it, if not by its part. */
  readonly title: string | null;
  readonly account: LedgerAccount | null;
  readonly children: readonly TreeNode[];
}

interface Branch {
  account: LedgerAccount | null;
  readonly children: Map<string, Branch>;
}

/** A tree of all accounts; a node with one child and no account of its own is merged with the child. */
export function buildTree(accounts: readonly LedgerAccount[], titles: ReadonlyMap<string, string> = new Map()): TreeNode[] {
  const root: Branch = { account: null, children: new Map() };
  for (const account of accounts) {
    let at = root;
    for (const part of account.address.split(":")) {
      let next = at.children.get(part);
      if (next === undefined) at.children.set(part, (next = { account: null, children: new Map() }));
      at = next;
    }
    at.account = account;
  }
  return nodesOf(root, "", titles);
}

function nodesOf(branch: Branch, prefix: string, titles: ReadonlyMap<string, string>): TreeNode[] {
  return [...branch.children]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([part, below]) => {
      const path = prefix === "" ? part : `${prefix}:${part}`;
      const node: TreeNode = {
        part,
        path,
        title: titles.get(path) ?? null,
        account: below.account,
        children: nodesOf(below, path, titles),
      };
      return prefix === "" ? node : merged(node);
    });
}

/** Below the top, `fees` > `USD` reads better as `fees:USD`. */
function merged(node: TreeNode): TreeNode {
  const [only] = node.children;
  if (node.account !== null || only === undefined || node.children.length > 1) return node;
  return { ...only, part: `${node.part}:${only.part}` };
}

/** Accounts whose address, owner, code and marks contain every word. */
export function filterAccounts(
  accounts: readonly LedgerAccount[],
  text: string,
  titles: ReadonlyMap<string, string> = new Map(),
): readonly LedgerAccount[] {
  const wanted = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  if (wanted.length === 0) return accounts;
  return accounts.filter((account) => {
    const marks = `${account.is_frozen ? "frozen" : ""} ${account.is_closed ? "closed" : ""}`;
    const known = `${account.address} ${titles.get(account.owner) ?? ""} ${account.code} ${marks}`.toLowerCase();
    return wanted.every((word) => known.includes(word));
  });
}


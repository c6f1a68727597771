import type { LedgerAccount } from "agio-sdk";
import { useMemo, useState, type KeyboardEvent } from "react";
import { grouped } from "@/shared/format.ts";
import { Content, Panel } from "@/shared/Panel.tsx";
import type { Resource } from "@/shared/use_resource.ts";
import { buildTree, filterAccounts, type TreeNode } from "./tree.ts";

interface Props {
  readonly list: Resource<readonly LedgerAccount[]>;
  readonly accounts: readonly LedgerAccount[];
  readonly titles: ReadonlyMap<string, string>;
  readonly selected: string | null;
  readonly onSelect: (address: string) => void;
}

export function AccountTree({ list, accounts, titles, selected, onSelect }: Props) {
  const [filter, setFilter] = useState("");
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const found = useMemo(() => filterAccounts(accounts, filter, titles), [accounts, filter, titles]);
  const tree = useMemo(() => buildTree(found, titles), [found, titles]);

  function fold(path: string, isFolded: boolean) {
    setFolded((known) => {
      const next = new Set(known);
      if (isFolded) next.add(path);
      else next.delete(path);
      return next;
    });
  }

  /** Up and down go from line to line, left and right fold and unfold. */
  function move(event: KeyboardEvent<HTMLElement>) {
    const lines = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="treeitem"]')];
    const at = lines.indexOf(document.activeElement as HTMLElement);
    const line = lines[at];
    if (line === undefined) return;
    const path = line.dataset["path"] ?? "";
    if (event.key === "ArrowDown") lines[at + 1]?.focus();
    else if (event.key === "ArrowUp") lines[at - 1]?.focus();
    else if (event.key === "Home") lines[0]?.focus();
    else if (event.key === "End") lines.at(-1)?.focus();
    else if (event.key === "ArrowLeft" && line.ariaExpanded !== null) fold(path, true);
    else if (event.key === "ArrowRight" && line.ariaExpanded !== null) fold(path, false);
    else return;
    event.preventDefault();
  }

  const shared = { depth: 0, folded: filter === "" ? folded : EMPTY, selected, onSelect, onFold: fold };
  const tools = (
    <button type="button" className="quiet push-right" onClick={list.reload}>
      Refresh
    </button>
  );
  return (
    <Panel title="Accounts" area="book-tree" tools={tools}>
      <div className="filter">
        <input
          className="box"
          type="search"
          aria-label="Filter accounts"
          placeholder="Filter: address, name, frozen…"
          value={filter}
          onChange={(event) => setFilter(event.target.value)}
        />
      </div>
      <Content
        loading={list.loading}
        isEmpty={accounts.length === 0}
        empty={
          <>
            No ledger accounts yet. They open when money first arrives: <code>POST /api/transfers</code>.
          </>
        }
      >
        <div className="tree" role="tree" aria-label="Ledger accounts" onKeyDown={move}>
          {tree.map((node, index) => (
            <Branch key={node.path} node={node} isFirst={index === 0} {...shared} />
          ))}
          {tree.length === 0 && <p className="tree-none">No account matches.</p>}
        </div>
      </Content>
    </Panel>
  );
}

const EMPTY: ReadonlySet<string> = new Set();

interface BranchProps {
  readonly node: TreeNode;
  readonly depth: number;
  readonly isFirst?: boolean;
  readonly folded: ReadonlySet<string>;
  readonly selected: string | null;
  readonly onSelect: (address: string) => void;
  readonly onFold: (path: string, isFolded: boolean) => void;
}

function Branch({ node, isFirst = false, ...props }: BranchProps) {
  const { depth, folded, selected, onSelect, onFold } = props;
  const { account } = node;
  const isBranch = node.children.length > 0;
  const isOpen = isBranch && !folded.has(node.path);
  const isSelected = account !== null && node.path === selected;
  const act = () => (account !== null ? onSelect(node.path) : onFold(node.path, isOpen));
  return (
    <>
      <button
        type="button"
        role="treeitem"
        className={`tree-line depth-${Math.min(depth, 4)}${account === null ? " branch" : ""}`}
        data-path={node.path}
        aria-level={depth + 1}
        aria-expanded={isBranch ? isOpen : undefined}
        aria-selected={isSelected}
        tabIndex={isSelected || (selected === null && isFirst) ? 0 : -1}
        title={node.path}
        onClick={act}
      >
        <span className="tree-name">
          {isBranch && <i className={isOpen ? "twist open" : "twist"} aria-hidden="true" />}
          {node.title ?? node.part}
          {node.title !== null && <span className="tree-id">{node.part}</span>}
          {account !== null && <Marks account={account} />}
        </span>
        {account !== null && <span className="tree-amount">{grouped(account.total)}</span>}
        {account !== null && !isZero(account.held) && (
          <span className="tree-held">{grouped(account.held)} held · {grouped(account.available)} available</span>
        )}
      </button>
      {isOpen && node.children.map((child) => <Branch key={child.path} {...props} node={child} depth={depth + 1} />)}
    </>
  );
}

export function Marks({ account }: { readonly account: LedgerAccount }) {
  return (
    <>
      {account.is_frozen && <span className="tag warn">frozen</span>}
      {account.is_closed && <span className="tag">closed</span>}
    </>
  );
}

function isZero(amount: string): boolean {
  return /^-?0*(\.0*)?$/.test(amount);
}

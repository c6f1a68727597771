import type { LedgerAccount } from "agio-sdk";
import { describe, expect, it } from "vitest";
import { buildTree, filterAccounts } from "@/features/ledger/tree.ts";
import { sumByAsset } from "@/features/ledger/sums.ts";

function account(address: string, marks: Partial<LedgerAccount> = {}): LedgerAccount {
  const parts = address.split(":");
  return {
    address,
    owner: parts[0] ?? "",
    asset: parts.at(-1) ?? "",
    code: "",
    flags: [],
    is_frozen: false,
    is_closed: false,
    minimum_balance: "0.00",
    total: "1.00",
    held: "0.00",
    available: "1.00",
    version: 1,
    opened_at: "2026-01-01T00:00:00Z",
    ...marks,
  };
}

const ACCOUNTS = [
  account("org_a:clearing:SIM:USD"),
  account("org_a:clearing:SIM:BTC"),
  account("org_a:fees:USD"),
  account("acc_x:USD", { is_frozen: true }),
];

describe("buildTree", () => {
  const tree = buildTree(ACCOUNTS, new Map([["acc_x", "Main"]]));

  it("splits addresses at their colons, in order", () => {
    expect(tree.map((node) => [node.path, node.title])).toEqual([
      ["acc_x", "Main"],
      ["org_a", null],
    ]);
    expect(tree[0]?.children.map((node) => node.account?.address)).toEqual(["acc_x:USD"]);
  });

  it("merges what has one child only, except owners", () => {
    expect(tree[1]?.children.map((node) => node.part)).toEqual(["clearing:SIM", "fees:USD"]);
    expect(tree[1]?.children[0]?.children.map((node) => node.path)).toEqual([
      "org_a:clearing:SIM:BTC",
      "org_a:clearing:SIM:USD",
    ]);
  });

  it("keeps an account that has accounts below it", () => {
    const [top] = buildTree([account("a:b"), account("a:b:c")]);
    expect(top?.children[0]?.account?.address).toBe("a:b");
    expect(top?.children[0]?.children[0]?.account?.address).toBe("a:b:c");
  });
});

describe("filterAccounts", () => {
  const titles = new Map([["acc_x", "Main"]]);
  it("wants every word somewhere in address, title or marks", () => {
    const found = (text: string) => filterAccounts(ACCOUNTS, text, titles).map((one) => one.address);
    expect(found("")).toHaveLength(4);
    expect(found("SIM usd")).toEqual(["org_a:clearing:SIM:USD"]);
    expect(found("main")).toEqual(["acc_x:USD"]);
    expect(found("frozen")).toEqual(["acc_x:USD"]);
    expect(found("nobody")).toEqual([]);
  });
});

describe("sumByAsset", () => {
  it("is exact beyond what floating point holds", () => {
    const legs = [
      { asset: "USD", amount: "90071992547409.93" },
      { asset: "USD", amount: "-90071992547409.92" },
      { asset: "BTC", amount: "0.10000000" },
      { asset: "BTC", amount: "-0.10000000" },
    ];
    expect(sumByAsset(legs)).toEqual([
      ["BTC", "0.00000000"],
      ["USD", "0.01"],
    ]);
  });
});

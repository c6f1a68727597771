import { describe, expect, it } from "vitest";
import { hrefOf, parseRoute } from "@/app/route.ts";
import { countApprovals, limitText, traceText } from "@/features/custody/wording.ts";
import { shortened, span } from "@/shared/format.ts";

describe("routes", () => {
  it("come back as they went", () => {
    const parts = ["acc_x:USD", "my journal/7"];
    expect(hrefOf("ledger", ["acc_x:USD"])).toBe("#/ledger/acc_x:USD");
    expect(parseRoute(hrefOf("ledger", parts))).toEqual({ page: "ledger", parts });
  });

  it("lead to the desk when they name nothing", () => {
    expect(parseRoute("")).toEqual({ page: "trade", parts: [] });
    expect(parseRoute("#/nowhere/x")).toEqual({ page: "trade", parts: [] });
    expect(parseRoute("#/ledger/%E0%A4%A")).toEqual({ page: "ledger", parts: ["%E0%A4%A"] });
  });
});

describe("policies in words", () => {
  it("say limits", () => {
    const limit = { amount: "8000.00", window_seconds: 86_400, count: null, basis_points: null, per: "vault" } as const;
    expect(limitText({ kind: "rolling", ...limit })).toBe("up to 8,000.00 in 1 d per vault");
    expect(limitText({ kind: "share_of_balance", ...limit, basis_points: 1250 })).toBe("at most 12.5% of the balance in 1 d");
  });

  it("say why a rule did not decide", () => {
    const checks = [{ condition: "min_amount", expected: "5.00", actual: "1.00", holds: false }];
    expect(traceText({ position: 1, rule: "a", action: "deny", matches: false, decided: false, checks })).toBe(
      "Min amount: wants 5.00, is 1.00",
    );
  });

  it("count approvals of this version only", () => {
    const decision = { approvals: [{ group: "g", required: 2 }] } as never;
    const approvals = [
      { version: 1, voided_at: "2026-01-01T00:00:00Z" },
      { version: 2, voided_at: null },
    ];
    expect(countApprovals({ version: 2, decision }, approvals)).toEqual({ given: 1, needed: 2 });
  });
});

describe("short forms", () => {
  it("keep beginnings and ends", () => {
    expect(shortened("trq_0123456789abcdef")).toBe("trq_0123…cdef");
    expect(span(59)).toBe("59 s");
    expect(span(7200)).toBe("2 h");
  });
});

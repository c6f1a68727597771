import { describe, expect, it } from "vitest";
import { AuthenticationBreaker, Backoff } from "../src/backoff.ts";

describe("Backoff", () => {
  it("doubles its ceiling from half a second to twenty", () => {
    const backoff = new Backoff(() => 1);
    const delays = Array.from({ length: 8 }, () => backoff.nextDelay());
    expect(delays).toEqual([0.5, 1, 2, 4, 8, 16, 20, 20]);
  });

  it("never waits less than the server asks", () => {
    expect(new Backoff(() => 0).nextDelay(3)).toBe(3);
  });

  it("starts over only after thirty healthy seconds", () => {
    const backoff = new Backoff(() => 1);
    backoff.nextDelay();
    backoff.wasHealthy(29);
    expect(backoff.nextDelay()).toBe(1);
    backoff.wasHealthy(30);
    expect(backoff.nextDelay()).toBe(0.5);
  });
});

describe("AuthenticationBreaker", () => {
  it("opens after three refusals in a row", () => {
    const breaker = new AuthenticationBreaker();
    breaker.failed();
    breaker.failed();
    breaker.succeeded();
    breaker.failed();
    breaker.failed();
    expect(breaker.isOpen).toBe(false);
    breaker.failed();
    expect(breaker.isOpen).toBe(true);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AuthenticationBreaker, Backoff, Repairs } from "../src/backoff.ts";
import { judgeClose } from "../src/verdict.ts";

describe("Backoff", () => {
  it("doubles its ceiling from half a second to twenty", () => {
    const backoff = new Backoff(() => 1);
    const delays = Array.from({ length: 8 }, () => backoff.nextDelay());
    assert.deepEqual(delays, [0.5, 1, 2, 4, 8, 16, 20, 20]);
  });

  it("never waits less than the server asks", () => {
    assert.equal(new Backoff(() => 0).nextDelay(3), 3);
  });

  it("starts over only after thirty healthy seconds", () => {
    const backoff = new Backoff(() => 1);
    backoff.nextDelay();
    backoff.wasHealthy(29);
    assert.equal(backoff.nextDelay(), 1);
    backoff.wasHealthy(30);
    assert.equal(backoff.nextDelay(), 0.5);
  });
});

describe("Repairs", () => {
  it("are immediate once, then wait until the channel was quiet for thirty seconds", () => {
    const repairs = new Repairs(() => 1);
    assert.deepEqual([0, 1_000, 3_000].map((now) => repairs.nextDelay(now)), [0, 0.5, 1]);
    assert.equal(repairs.nextDelay(60_000), 0);
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
    assert.equal(breaker.isOpen, false);
    breaker.failed();
    assert.equal(breaker.isOpen, true);
  });
});

describe("judgeClose", () => {
  const after = (code: number, reason = "") => judgeClose(code, reason).afterSeconds;

  it("returns after 4000 to 4499 and accidents, never after 4500 to 4999", () => {
    for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4008, 4010, 4011, 4401, 4408, 4429, 4440, 4499]) {
      assert.equal(judgeClose(code, "").mayReturn, true, String(code));
    }
    for (const code of [4500, 4501, 4502, 4503, 4504, 4999]) assert.equal(judgeClose(code, "").mayReturn, false);
  });

  it("waits as long as an overloaded server asks, within reason", () => {
    assert.equal(after(1013, '{"retry_after_ms":2500}'), 2.5);
    assert.equal(after(1013, '{"retry_after_ms":1e12}'), 600);
    assert.equal(after(1013, '{"retry_after_ms":-5}'), 0);
    assert.equal(after(1013, "{broken"), 0);
  });

  it("comes back at once to resume, later when an operator or the rate was the reason", () => {
    assert.equal(after(4008, "the oldest message waited too long"), 0);
    assert.equal(after(4011), 1);
    assert.equal(after(4429), 5);
    assert.equal(after(1009), 5);
  });
});

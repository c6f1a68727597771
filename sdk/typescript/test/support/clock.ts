/** Time that passes when a test says so. */

import type { Clock } from "../../src/clock.ts";

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class TestClock implements Clock {
  private time = 0;
  private readonly timers = new Set<Timer>();

  now(): number {
    return this.time;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.time + milliseconds, run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** How many timers run. */
  get pending(): number {
    return this.timers.size;
  }

  /** Let time pass; what is due runs in its order, and promises settle in between. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.time + milliseconds;
    for (let next = this.due(until); next !== undefined; next = this.due(until)) {
      this.timers.delete(next);
      this.time = Math.max(this.time, next.at);
      next.run();
      await settle();
    }
    this.time = until;
  }

  private due(until: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.at <= until && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}

/** Let every promise that can settle do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const PATIENCE_MS = 60_000;

/** Wait, in real time, until something is so. */
export async function until(isSo: () => boolean, what = "the condition"): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`${what} did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Time and timers behind an interface, so that a test decides when they pass. */

export interface Clock {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Run something later; the returned function cancels it. */
  after(milliseconds: number, run: () => void): () => void;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Timers with one owner, who ends all of them at once. */
export class Timers {
  private readonly running = new Set<() => void>();
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  after(milliseconds: number, run: () => void): () => void {
    const cancel = this.clock.after(milliseconds, () => {
      this.running.delete(stop);
      run();
    });
    const stop = () => {
      this.running.delete(stop);
      cancel();
    };
    this.running.add(stop);
    return stop;
  }

  stop(): void {
    for (const stop of [...this.running]) stop();
  }
}

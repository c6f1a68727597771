/** When to try again: full jitter, and a breaker against hammering on a locked door. */

export const FIRST_SECONDS = 0.5;
export const LONGEST_SECONDS = 20;
export const HEALTHY_SECONDS = 30;
export const AUTHENTICATION_FAILURES = 3;

/**
 * Full-jitter exponential backoff from 0.5 to 20 s, reset only by 30 healthy seconds.
 *
 * (Exponential Backoff And Jitter, AWS Architecture Blog, 2015: "full jitter".)
 */
export class Backoff {
  private attempt = 0;
  private readonly random: () => number;

  constructor(random: () => number = Math.random) {
    this.random = random;
  }

  /** Seconds to wait now; never less than the server asked for. */
  nextDelay(atLeastSeconds = 0): number {
    const ceiling = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** this.attempt);
    this.attempt += 1;
    return Math.max(atLeastSeconds, this.random() * ceiling);
  }

  /** Tell how long the last connection lived. */
  wasHealthy(seconds: number): void {
    if (seconds >= HEALTHY_SECONDS) this.attempt = 0;
  }
}

/** Opens after three refusals in a row: a wrong key does not become right by being sent again. */
export class AuthenticationBreaker {
  private failures = 0;

  get isOpen(): boolean {
    return this.failures >= AUTHENTICATION_FAILURES;
  }

  failed(): void {
    this.failures += 1;
  }

  succeeded(): void {
    this.failures = 0;
  }
}

/** When to ask again for a channel that went wrong: at once, then with a backoff until it is healthy again. */
export class Repairs {
  private readonly backoff: Backoff;
  private asked = Number.NEGATIVE_INFINITY;

  constructor(random: () => number) {
    this.backoff = new Backoff(random);
  }

  /** Seconds to wait before the next attempt; `now` in milliseconds. */
  nextDelay(now: number, atLeastSeconds = 0): number {
    const quietSeconds = (now - this.asked) / 1000;
    this.backoff.wasHealthy(quietSeconds);
    const delay = quietSeconds >= HEALTHY_SECONDS ? atLeastSeconds : this.backoff.nextDelay(atLeastSeconds);
    this.asked = now + delay * 1000;
    return delay;
  }
}

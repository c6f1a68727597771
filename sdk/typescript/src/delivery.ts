/** The bounded queue between a stream and a reader who takes messages one by one. */

/**
 * What happens when a subscription's queue is full:
 *
 * - `pause`: the channel is given back to the server and resumed from its position once half of the queue is
 *   read. A log loses nothing; a state or book channel goes on with its newest values. The default of logs.
 * - `latest`: only the newest message of each key stays (a balance's asset, a position's symbol, a bar's start).
 *   The default of state and book channels.
 * - `drop_oldest`: the oldest message is dropped, and told as a gap on log channels.
 * - `fail`: the subscription ends with QueueOverflow.
 */
export type WhenFull = "pause" | "latest" | "drop_oldest" | "fail";

export const DEFAULT_LIMIT = 10_000;

interface Waiter<M> {
  readonly resolve: (result: IteratorResult<M, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/** A queue with one reader. What to do when it is full is the writer's business. */
export class Delivery<M> {
  readonly limit: number;
  private items: M[] = [];
  private head = 0;
  private waiters: Waiter<M>[] = [];
  private end: { readonly error: unknown } | null = null;
  private readonly onRead: () => void;

  constructor(limit: number, onRead: () => void) {
    if (!Number.isInteger(limit) || limit < 1) throw new RangeError("the limit of a queue is 1 or more");
    this.limit = limit;
    this.onRead = onRead;
  }

  get size(): number {
    return this.items.length - this.head;
  }

  get isFull(): boolean {
    return this.size >= this.limit;
  }

  push(message: M): void {
    if (this.end !== null) return;
    const waiter = this.waiters.shift();
    if (waiter !== undefined) waiter.resolve({ done: false, value: message });
    else this.items.push(message);
  }

  shift(): M | undefined {
    if (this.size === 0) return undefined;
    const message = this.items[this.head] as M;
    this.items[this.head] = undefined as M;
    this.head += 1;
    if (this.head > 1_024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return message;
  }

  /** Take out the first message that fits; undefined when there is none. */
  remove(fits: (message: M) => boolean): M | undefined {
    for (let index = this.head; index < this.items.length; index += 1) {
      const message = this.items[index] as M;
      if (fits(message)) {
        this.items.splice(index, 1);
        return message;
      }
    }
    return undefined;
  }

  /** No more messages: the reader gets what is queued, then the end (or the error). */
  finish(error: unknown = null): void {
    if (this.end !== null) return;
    this.end = { error };
    for (const waiter of this.waiters.splice(0)) this.settle(waiter);
  }

  next(): Promise<IteratorResult<M, undefined>> {
    if (this.size > 0) {
      const value = this.shift() as M;
      this.onRead();
      return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      const waiter = { resolve, reject };
      if (this.end === null) this.waiters.push(waiter);
      else this.settle(waiter);
    });
  }

  private settle(waiter: Waiter<M>): void {
    const error = this.end?.error ?? null;
    if (error === null) waiter.resolve({ done: true, value: undefined });
    else {
      // An error is told once; a reader who goes on gets the plain end.
      this.end = { error: null };
      waiter.reject(error);
    }
  }
}

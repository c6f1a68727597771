/** State outside React that changes with the stream and is shown at most once per frame. */

import { useSyncExternalStore } from "react";

const waiting = new Set<() => void>();
let isScheduled = false;

function schedule(flush: () => void): void {
  waiting.add(flush);
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    const due = [...waiting];
    waiting.clear();
    for (const one of due) one();
  });
}

/**
 * A value that its owner changes as often as messages arrive.
 *
 * `touch` costs nothing but a flag; the snapshot is built and the listeners are told in the next animation
 * frame. In a hidden tab there are no frames, and the owner's bounded state is all that grows.
 */
export class FrameStore<T> {
  private readonly listeners = new Set<() => void>();
  private value: T;
  private isStale = false;

  constructor(private readonly build: () => T) {
    this.value = build();
  }

  readonly snapshot = (): T => this.value;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly touch = (): void => {
    if (this.isStale) return;
    this.isStale = true;
    schedule(this.flush);
  };

  private readonly flush = (): void => {
    this.isStale = false;
    this.value = this.build();
    for (const listener of [...this.listeners]) listener();
  };
}

/** The store's value as of the last frame. */
export function useLive<T>(store: FrameStore<T>): T {
  return useSyncExternalStore(store.subscribe, store.snapshot);
}

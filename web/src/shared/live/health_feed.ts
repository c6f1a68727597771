/** The sources' counters, read every two seconds while somebody looks; their state sooner, from the heartbeats. */

import type { Agio } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";
import { failedWith, LOADING, READY, type Loading } from "./loading.ts";
import { readHealth, type SourceHealth } from "./source_health.ts";

const EVERY_MS = 2_000;

export interface HealthView {
  readonly loading: Loading;
  readonly sources: readonly SourceHealth[];
  /** When the figures were read, by this machine's clock. */
  readonly readAt: number | null;
}

export class HealthFeed {
  readonly store: FrameStore<HealthView>;
  private view: HealthView = { loading: LOADING, sources: [], readAt: null };
  private readonly timer: ReturnType<typeof setInterval>;
  private isClosed = false;

  constructor(private readonly agio: Agio) {
    this.store = new FrameStore(() => this.view);
    void this.read();
    this.timer = setInterval(() => void this.read(), EVERY_MS);
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.timer);
  }

  private async read(): Promise<void> {
    if (document.hidden) return;
    try {
      const sources = readHealth(await this.agio.marketStatus());
      this.view = { loading: READY, sources, readAt: Date.now() };
    } catch (error) {
      this.view = { ...this.view, loading: failedWith(error) };
    }
    if (!this.isClosed) this.store.touch();
  }
}

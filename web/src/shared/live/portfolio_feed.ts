/** Positions, live totals and the metrics of one portfolio. */

import type { Agio, Analytics, LiveAnalytics, Position, Stream, Subscription } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";
import { explain, failedWith, LOADING, READY, type Loading } from "./loading.ts";

const METRICS_EVERY_MS = 30_000;
const SETTLE_MS = 1_500;
const METRICS = "twr,volatility,sharpe,max_drawdown,cash_share,gross,net,hhi";

export interface PortfolioView {
  readonly loading: Loading;
  readonly totals: LiveAnalytics | null;
  readonly positions: readonly Position[];
}

export interface MetricsView {
  readonly analytics: Analytics | null;
  readonly failure: string | null;
}

export class PortfolioFeed {
  readonly store: FrameStore<PortfolioView>;
  readonly metrics: FrameStore<MetricsView>;
  private loading: Loading = LOADING;
  private totals: LiveAnalytics | null = null;
  private readonly positions = new Map<string, Position>();
  private analytics: Analytics | null = null;
  private failure: string | null = null;
  private readonly subscriptions: readonly Pick<Subscription, "close">[];
  private readonly timer: ReturnType<typeof setInterval>;
  private soon: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly agio: Agio,
    stream: Stream,
    readonly portfolioId: string,
  ) {
    this.store = new FrameStore(() => this.build());
    this.metrics = new FrameStore(() => ({ analytics: this.analytics, failure: this.failure }));
    this.subscriptions = [
      stream.subscribe<Position>(`positions:${portfolioId}`, {
        tier: "250ms",
        onMessage: ({ data }) => {
          this.positions.set(data.symbol, data);
          this.store.touch();
        },
        onConfirmed: () => void this.load(),
        onError: (error) => this.failed(error),
      }),
      stream.subscribe<LiveAnalytics>(`analytics:${portfolioId}`, {
        tier: "250ms",
        onMessage: ({ data }) => {
          this.totals = data;
          this.store.touch();
        },
        onError: (error) => this.failed(error),
      }),
    ];
    void this.readMetrics();
    this.timer = setInterval(() => void this.readMetrics(), METRICS_EVERY_MS);
  }

  close(): void {
    clearInterval(this.timer);
    clearTimeout(this.soon);
    for (const subscription of this.subscriptions) subscription.close();
  }

  /** Read the metrics again once the present flurry of fills has settled. */
  readonly refreshSoon = (): void => {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => void this.readMetrics(), SETTLE_MS);
  };

  private async load(): Promise<void> {
    try {
      for (const position of await this.agio.positions(this.portfolioId)) {
        if (!this.positions.has(position.symbol)) this.positions.set(position.symbol, position);
      }
      this.loading = READY;
      this.store.touch();
    } catch (error) {
      this.failed(error);
    }
  }

  private async readMetrics(): Promise<void> {
    if (document.hidden) return;
    try {
      this.analytics = await this.agio.portfolioAnalytics(this.portfolioId, { metrics: METRICS });
      this.failure = null;
    } catch (error) {
      this.failure = explain(error);
    }
    this.metrics.touch();
  }

  private failed(error: unknown): void {
    this.loading = failedWith(error);
    this.store.touch();
  }

  private build(): PortfolioView {
    const positions = [...this.positions.values()].sort((left, right) => left.symbol.localeCompare(right.symbol));
    return { loading: this.loading, totals: this.totals, positions };
  }
}

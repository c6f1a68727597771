/** Orders, fills and balances of one account: history from REST, changes from the stream. */

import type { Agio, Balance, Execution, Order, OrderStatus, Stream, Subscription } from "agio-sdk";
import { FrameStore } from "./frame_store.ts";
import { failedWith, LOADING, READY, type Loading } from "./loading.ts";

const KEPT_ORDERS = 500;
const KEPT_FILLS = 500;
const PAGE = 200;
const CLOSED: ReadonlySet<OrderStatus> = new Set(["filled", "canceled", "rejected", "expired"]);

export interface OrdersView {
  readonly loading: Loading;
  readonly open: readonly Order[];
  readonly closed: readonly Order[];
}

export interface FillsView {
  readonly loading: Loading;
  readonly fills: readonly Execution[];
}

export interface BalancesView {
  readonly loading: Loading;
  readonly byAsset: ReadonlyMap<string, Balance>;
}

export function isClosed(order: Order): boolean {
  return CLOSED.has(order.status);
}

export class AccountFeed {
  readonly orders: FrameStore<OrdersView>;
  readonly fills: FrameStore<FillsView>;
  readonly balances: FrameStore<BalancesView>;
  private readonly knownOrders = new Map<string, Order>();
  private readonly knownFills = new Map<string, Execution>();
  private readonly knownBalances = new Map<string, Balance>();
  private ordersLoading: Loading = LOADING;
  private fillsLoading: Loading = LOADING;
  private balancesLoading: Loading = LOADING;
  private readonly subscriptions: readonly Pick<Subscription, "close">[];

  constructor(
    private readonly agio: Agio,
    stream: Stream,
    readonly accountId: string,
    onFill: () => void,
  ) {
    this.orders = new FrameStore(() => this.buildOrders());
    this.fills = new FrameStore(() => ({
      loading: this.fillsLoading,
      fills: newestFirst(this.knownFills, (fill) => fill.transact_time, KEPT_FILLS),
    }));
    this.balances = new FrameStore(() => ({
      loading: this.balancesLoading,
      byAsset: new Map(this.knownBalances),
    }));
    this.subscriptions = [
      stream.subscribe<Order>(`orders:${accountId}`, {
        onMessage: ({ data }) => this.takeOrder(data),
        onConfirmed: () => void this.loadOrders(),
        onError: (error) => this.ordersFailed(error),
      }),
      stream.subscribe<Execution>(`fills:${accountId}`, {
        onMessage: ({ data }) => {
          this.takeFill(data);
          onFill();
        },
        onConfirmed: () => void this.loadFills(),
        onError: (error) => this.fillsFailed(error),
      }),
      stream.subscribe<Balance>(`balances:${accountId}`, {
        onMessage: ({ data }) => this.takeBalance(data),
        onConfirmed: () => void this.loadBalances(),
        onError: (error) => this.balancesFailed(error),
      }),
    ];
  }

  close(): void {
    for (const subscription of this.subscriptions) subscription.close();
  }

  /** Take an order as a request answered it; the stream may have told a newer version already. */
  takeOrder(order: Order): void {
    const known = this.knownOrders.get(order.order_id);
    if (known === undefined || order.version >= known.version) this.knownOrders.set(order.order_id, order);
    if (this.knownOrders.size > KEPT_ORDERS * 2) this.forgetOldOrders();
    this.orders.touch();
  }

  private takeFill(fill: Execution): void {
    this.knownFills.set(fill.execution_id, fill);
    if (this.knownFills.size > KEPT_FILLS * 2) {
      const kept = newestFirst(this.knownFills, (one) => one.transact_time, KEPT_FILLS);
      this.knownFills.clear();
      for (const one of kept) this.knownFills.set(one.execution_id, one);
    }
    this.fills.touch();
  }

  private takeBalance(balance: Balance): void {
    const known = this.knownBalances.get(balance.asset);
    if (known === undefined || balance.version >= known.version) this.knownBalances.set(balance.asset, balance);
    this.balances.touch();
  }

  private async loadOrders(): Promise<void> {
    try {
      const [open, all] = await Promise.all([
        this.agio.orders(this.accountId, { status: "open", limit: PAGE }),
        this.agio.orders(this.accountId, { status: "all", limit: PAGE }),
      ]);
      for (const order of [...open.items, ...all.items]) this.takeOrder(order);
      this.ordersLoading = READY;
      this.orders.touch();
    } catch (error) {
      this.ordersFailed(error);
    }
  }

  private async loadFills(): Promise<void> {
    try {
      const page = await this.agio.executions(this.accountId, { limit: PAGE });
      for (const fill of page.items) this.takeFill(fill);
      this.fillsLoading = READY;
      this.fills.touch();
    } catch (error) {
      this.fillsFailed(error);
    }
  }

  private async loadBalances(): Promise<void> {
    try {
      for (const balance of await this.agio.balances(this.accountId)) this.takeBalance(balance);
      this.balancesLoading = READY;
      this.balances.touch();
    } catch (error) {
      this.balancesFailed(error);
    }
  }

  private ordersFailed(error: unknown): void {
    this.ordersLoading = failedWith(error);
    this.orders.touch();
  }

  private fillsFailed(error: unknown): void {
    this.fillsLoading = failedWith(error);
    this.fills.touch();
  }

  private balancesFailed(error: unknown): void {
    this.balancesLoading = failedWith(error);
    this.balances.touch();
  }

  private buildOrders(): OrdersView {
    const all = newestFirst(this.knownOrders, (order) => order.created_at, Number.POSITIVE_INFINITY);
    return {
      loading: this.ordersLoading,
      open: all.filter((order) => !isClosed(order)),
      closed: all.filter(isClosed).slice(0, KEPT_ORDERS),
    };
  }

  private forgetOldOrders(): void {
    const { open, closed } = this.buildOrders();
    this.knownOrders.clear();
    for (const order of [...open, ...closed]) this.knownOrders.set(order.order_id, order);
  }
}

function newestFirst<T>(items: ReadonlyMap<string, T>, instant: (item: T) => string, limit: number): T[] {
  const sorted = [...items].sort(([leftId, left], [rightId, right]) => {
    const order = instant(right).localeCompare(instant(left));
    return order !== 0 ? order : rightId.localeCompare(leftId);
  });
  return sorted.slice(0, limit).map(([, item]) => item);
}

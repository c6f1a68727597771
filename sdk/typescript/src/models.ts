/** The platform's objects. Amounts are decimal text, never numbers; instants are RFC 3339 text in UTC. */

export type DecimalText = string;
export type Instant = string;

export type Side = "buy" | "sell";
export type OrderType = "market" | "limit";
export type TimeInForce = "day" | "gtc" | "ioc";
export type OrderStatus =
  | "pending_new"
  | "new"
  | "partially_filled"
  | "filled"
  | "pending_cancel"
  | "canceled"
  | "rejected"
  | "expired";
export type SourceState = "live" | "stale" | "closed";
export type Interval = "1s" | "1m";

/** Part of a list; `next_cursor` is null on the last page. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export interface Me {
  readonly key_id: string;
  readonly organisation_id: string;
  readonly environment: "sandbox" | "live";
  readonly scopes: readonly string[];
  readonly expires_at: Instant;
}

export interface StreamTicket {
  readonly ticket: string;
  readonly expires_at: Instant;
}

/** What can be traded; prices are multiples of `tick_size`, quantities of `lot_size`. */
export interface Instrument {
  readonly symbol: string;
  readonly name: string;
  readonly venue: string;
  readonly base_asset: string;
  readonly quote_asset: string;
  readonly tick_size: DecimalText;
  readonly lot_size: DecimalText;
  readonly price_scale: number;
  readonly quantity_scale: number;
  readonly calendar: string;
  readonly status: string;
  readonly asset_class?: string;
}

/** A trade on the market; `seq` counts +1 per symbol and is the `q` of the stream. */
export interface Trade {
  readonly seq?: number;
  readonly price: DecimalText;
  readonly size: DecimalText;
  readonly side: Side | null;
  readonly venue_time: Instant;
  readonly id: string | null;
  /** What it does to the earlier trade of the same id; absent for a trade that is none. */
  readonly correction?: "replaces" | "cancels";
}

/** Best bid and ask; null where a side is empty. */
export interface Quote {
  readonly bid: DecimalText | null;
  readonly bid_size: DecimalText | null;
  readonly ask: DecimalText | null;
  readonly ask_size: DecimalText | null;
  readonly venue_time: Instant;
}

/** Levels as [price, size]; size 0 removes a level. */
export interface BookLevels {
  readonly bids?: readonly (readonly [string, string])[];
  readonly asks?: readonly (readonly [string, string])[];
}

/** Open, high, low, close and volume of an interval that begins at `start`. */
export interface Bar {
  readonly interval: Interval;
  readonly start: Instant;
  readonly open: DecimalText;
  readonly high: DecimalText;
  readonly low: DecimalText;
  readonly close: DecimalText;
  readonly volume: DecimalText;
  readonly vwap: DecimalText | null;
  readonly trades: number;
  readonly revision: number;
  readonly is_final: boolean;
}

export interface MarketStatus {
  readonly market: string;
  readonly venues: readonly { readonly venue: string; readonly state: SourceState }[];
  readonly replay: Replay | null;
}

export interface Replay {
  readonly replay_id: string;
  readonly file: string;
  readonly symbol: string;
  readonly total: number;
  readonly done: number;
  readonly state: string;
}

export interface Account {
  readonly account_id: string;
  readonly name: string;
  readonly base_currency: string;
  readonly status: string;
}

/** `available` is what can be spent: the total less what is held. */
export interface Balance {
  readonly asset: string;
  readonly total: DecimalText;
  readonly held: DecimalText;
  readonly available: DecimalText;
  readonly version: number;
}

export interface Order {
  readonly order_id: string;
  readonly account_id: string;
  readonly client_order_id: string;
  readonly symbol: string;
  readonly side: Side;
  readonly type: OrderType;
  readonly time_in_force: TimeInForce;
  readonly quantity: DecimalText;
  readonly limit_price: DecimalText | null;
  readonly status: OrderStatus;
  readonly filled_quantity: DecimalText;
  readonly leaves_quantity: DecimalText;
  readonly average_price: DecimalText | null;
  readonly fees: DecimalText;
  readonly reject_reason: string | null;
  readonly created_at: Instant;
  readonly updated_at: Instant;
  readonly version: number;
}

/** An order to place. Repeating it with the same `client_order_id` returns the same order. */
export interface NewOrder {
  readonly account_id: string;
  readonly symbol: string;
  readonly side: Side;
  readonly type: OrderType;
  readonly quantity: DecimalText;
  readonly limit_price?: DecimalText;
  readonly time_in_force?: TimeInForce;
  readonly client_order_id?: string;
}

/** A fill of an order, settled by the journal that it names. */
export interface Execution {
  readonly execution_id: string;
  readonly order_id: string;
  readonly account_id: string;
  readonly symbol: string;
  readonly side: Side;
  readonly quantity: DecimalText;
  readonly price: DecimalText;
  readonly fee: DecimalText;
  readonly fee_asset: string;
  readonly liquidity: "maker" | "taker";
  readonly trade_seq: number | null;
  readonly journal_id: string;
  readonly transact_time: Instant;
}

export interface Transfer {
  readonly transfer_id: string;
  readonly account_id: string;
  readonly direction: "deposit" | "withdrawal";
  readonly asset: string;
  readonly amount: DecimalText;
  readonly status: string;
  readonly journal_id: string | null;
  readonly reference: string | null;
  readonly created_at: Instant;
}

export interface NewTransfer {
  readonly account_id: string;
  readonly direction: "deposit" | "withdrawal";
  readonly asset: string;
  readonly amount: DecimalText;
  readonly reference?: string;
}

export interface Portfolio {
  readonly portfolio_id: string;
  readonly name: string;
  readonly account_ids: readonly string[];
  readonly base_currency: string;
}

export interface Position {
  readonly symbol: string;
  readonly asset: string;
  readonly quantity: DecimalText;
  readonly average_cost: DecimalText | null;
  readonly price: DecimalText | null;
  readonly price_time: Instant | null;
  readonly market_value: DecimalText | null;
  readonly unrealized_pnl: DecimalText | null;
  readonly realized_pnl: DecimalText;
}

/** What `analytics:{portfolio}` carries. */
export interface LiveAnalytics {
  readonly equity: DecimalText | null;
  readonly cash: DecimalText;
  readonly unrealized_pnl: DecimalText | null;
  readonly realized_pnl: DecimalText;
  readonly fees: DecimalText;
  readonly day_return: number | null;
  readonly ledger_seq: number;
  readonly price_time: Instant | null;
}

/** One number with its convention; a null says why in `null_reason`. */
export interface Metric {
  readonly value: number | null;
  readonly unit: string;
  readonly convention: string;
  readonly n: number;
  readonly null_reason: string | null;
}

/** The answer of `GET /api/portfolios/{id}/analytics`. */
export interface Analytics {
  readonly portfolio_id: string;
  readonly basis: Readonly<Record<string, unknown>>;
  readonly returns: Readonly<Record<string, Metric | undefined>>;
  readonly risk: Readonly<Record<string, Metric | undefined>>;
  readonly exposure: Readonly<Record<string, Metric | undefined>>;
}

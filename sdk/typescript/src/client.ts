/** The REST side: one method per verb of the API, and the door to the streams. */

import { Backoff } from "./backoff.ts";
import { Connections } from "./connections.ts";
import { Custody } from "./custody.ts";
import { ApiError, OutcomeUnknown, type ProblemMembers } from "./errors.ts";
import { EventReader, type EventOptions } from "./events.ts";
import { Ledger } from "./ledger.ts";
import { Market } from "./market.ts";
import type * as model from "./models.ts";
import { pathOf } from "./rest.ts";
import { Stream } from "./stream.ts";
import type { GetCredential, StreamOptions } from "./stream_options.ts";

const ATTEMPTS = 4;
const TRY_AGAIN: ReadonlySet<number> = new Set([429, 502, 503]);
const TIMEOUT_MS = 30_000;

export type Query = Readonly<Record<string, string | number | null | undefined>>;
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface AgioOptions {
  /** Origin of the server, such as `https://localhost:8443`; a page served by it leaves it out. */
  readonly url?: string;
  /** A key, or what gives the present one when keys are rotated. */
  readonly apiKey: string | (() => string | Promise<string>);
  readonly fetch?: Fetch;
}

/** Who a stream says it is: single-use tickets (the default), the key itself, or what a callback gives. */
export interface AgioStreamOptions extends StreamOptions {
  readonly credential?: "ticket" | "token" | GetCredential;
}

export interface Call {
  readonly query?: Query;
  readonly body?: object;
  readonly accept?: string;
  readonly timeoutMs?: number;
  readonly idempotencyKey?: string;
  readonly isRepeatable: boolean;
}

/**
 * A client of one server with one key.
 *
 * Requests that can be repeated safely are repeated up to three times with full jitter: reads, and writes
 * that carry an idempotency key (the client makes one where you give none).
 */
export class Agio {
  readonly url: string;
  /** Journals, holds, ledger accounts and the proof of them. */
  readonly ledger: Ledger;
  /** Vaults, transfer requests and their controls. */
  readonly custody: Custody;
  /** History of the market: trades, quotes and bars of any age, as lists and as files. */
  readonly market: Market;
  /** Who of the organisation is connected to the streams. */
  readonly connections: Connections;
  private readonly apiKey: () => string | Promise<string>;
  private readonly fetch: Fetch;

  constructor(options: AgioOptions) {
    this.url = (options.url ?? globalThis.location.origin).replace(/\/+$/, "");
    this.ledger = new Ledger(this);
    this.custody = new Custody(this);
    this.market = new Market(this);
    this.connections = new Connections(this);
    const { apiKey } = options;
    this.apiKey = typeof apiKey === "string" ? () => apiKey : apiKey;
    this.fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init));
  }

  /** A new multiplexed stream, opened at its first subscription. No credential is ever in its address. */
  stream(options: AgioStreamOptions = {}): Stream {
    const { credential = "ticket", ...rest } = options;
    return new Stream(`${this.url.replace(/^http/, "ws")}/stream`, this.credentialOf(credential), rest);
  }

  /** Up to 50 channels as server-sent events, for `for await`; the key goes in a header. */
  events(channels: readonly string[], options: EventOptions = {}): EventReader {
    const query = channels.map((channel) => `ch=${encodeURIComponent(channel)}`).join("&");
    const open = async (lastEventId: string, signal: AbortSignal) => {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (lastEventId !== "") headers["Last-Event-ID"] = lastEventId;
      headers["Authorization"] = `Bearer ${await this.apiKey()}`;
      const response = await this.fetch(`${this.url}/stream/sse?${query}`, { headers, signal, cache: "no-store" });
      if (!response.ok || response.body === null) throw await refusalOf(response);
      return response.body;
    };
    return new EventReader(open, options);
  }

  async streamTicket(): Promise<string> {
    const answer = await this.request<model.StreamTicket>("POST", "/api/stream/tickets", {
      isRepeatable: false,
    });
    return answer.ticket;
  }

  private credentialOf(credential: "ticket" | "token" | GetCredential): GetCredential {
    if (credential === "ticket") return () => this.streamTicket();
    if (credential === "token") return async () => ({ token: await this.apiKey() });
    return credential;
  }

  me(): Promise<model.Me> {
    return this.get("/api/me");
  }

  // Market data

  instruments(): Promise<model.Instrument[]> {
    return this.collect((cursor) => this.get("/api/instruments", { cursor }));
  }

  marketStatus(): Promise<model.MarketStatus> {
    return this.get("/api/market/status");
  }

  /** Stored trades in ascending sequence. */
  marketTrades(
    symbol: string,
    query: { after_seq?: number; limit?: number; cursor?: string } = {},
  ): Promise<model.Page<model.Trade>> {
    return this.get(`/api/market/${pathOf(symbol)}/trades`, query);
  }

  latestTrade(symbol: string): Promise<model.Trade> {
    return this.get(`/api/market/${pathOf(symbol)}/trades/latest`);
  }

  quote(symbol: string): Promise<model.Quote> {
    return this.get(`/api/market/${pathOf(symbol)}/quote`);
  }

  /** Candles, ascending; without `start` the newest ones. */
  bars(
    symbol: string,
    interval: model.Interval = "1m",
    query: { start?: string; end?: string; limit?: number; cursor?: string } = {},
  ): Promise<model.Page<model.Bar>> {
    return this.get(`/api/market/${pathOf(symbol)}/bars`, { interval, ...query });
  }

  // Accounts

  accounts(): Promise<model.Account[]> {
    return this.collect((cursor) => this.get("/api/accounts", { cursor }));
  }

  async balances(accountId: string): Promise<readonly model.Balance[]> {
    return (await this.get<model.Page<model.Balance>>(`/api/accounts/${pathOf(accountId)}/balances`)).items;
  }

  /** Move money over the sandbox rail; `key` makes a repetition harmless. */
  transfer(transfer: model.NewTransfer, key: string = randomId()): Promise<model.Transfer> {
    return this.request("POST", "/api/transfers", {
      body: transfer,
      idempotencyKey: key,
      isRepeatable: true,
    });
  }

  showTransfer(transferId: string): Promise<model.Transfer> {
    return this.get(`/api/transfers/${pathOf(transferId)}`);
  }

  /** Transfers of an account or of all, newest first. */
  transfers(query: { account_id?: string; limit?: number; cursor?: string } = {}): Promise<model.Page<model.Transfer>> {
    return this.get("/api/transfers", query);
  }

  // Orders

  /** Place an order; resolves once it is durable and its money or securities are held. */
  placeOrder(order: model.NewOrder): Promise<model.Order> {
    const body = { client_order_id: randomId(), ...order };
    return this.request("POST", "/api/orders", { body, isRepeatable: true });
  }

  order(orderId: string): Promise<model.Order> {
    return this.get(`/api/orders/${pathOf(orderId)}`);
  }

  orders(
    accountId: string,
    query: { status?: "open" | "closed" | "all"; symbol?: string; limit?: number; cursor?: string } = {},
  ): Promise<model.Page<model.Order>> {
    return this.get("/api/orders", { account_id: accountId, ...query });
  }

  /** Ask for cancellation; the stream tells when the venue has confirmed it. */
  cancelOrder(orderId: string): Promise<model.Order> {
    return this.request("DELETE", `/api/orders/${pathOf(orderId)}`, { isRepeatable: true });
  }

  executions(
    accountId: string,
    query: { limit?: number; cursor?: string } = {},
  ): Promise<model.Page<model.Execution>> {
    return this.get("/api/executions", { account_id: accountId, ...query });
  }

  /** The fills of one order. */
  async fillsOf(orderId: string): Promise<readonly model.Execution[]> {
    return (await this.get<model.Page<model.Execution>>(`/api/orders/${pathOf(orderId)}/executions`)).items;
  }

  // Portfolios

  portfolios(): Promise<model.Portfolio[]> {
    return this.collect((cursor) => this.get("/api/portfolios", { cursor }));
  }

  async positions(portfolioId: string): Promise<readonly model.Position[]> {
    return (await this.get<model.Page<model.Position>>(`/api/portfolios/${pathOf(portfolioId)}/positions`)).items;
  }

  portfolioAnalytics(portfolioId: string, query: Query = {}): Promise<model.Analytics> {
    return this.get(`/api/portfolios/${pathOf(portfolioId)}/analytics`, query);
  }

  // The request itself

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.request("GET", path, { query, isRepeatable: true });
  }

  /** All items of a list, page by page. */
  async collect<T>(page: (cursor: string | null) => Promise<model.Page<T>>): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const answer: model.Page<T> = await page(cursor);
      items.push(...answer.items);
      cursor = answer.next_cursor;
    } while (cursor !== null);
    return items;
  }

  /**
   * Send a request and decode its answer; undefined where it has none.
   *
   * Throws ApiError for a refusal, OutcomeUnknown when nobody can tell whether it took effect.
   */
  request<T>(method: string, path: string, call: Call): Promise<T> {
    return this.repeat(method, path, call, async (response) => {
      const text = await response.text();
      return (text === "" ? undefined : JSON.parse(text)) as T;
    });
  }

  /** Read something that is not JSON; `read` gets the answer once it is there. Throws as `request` does. */
  download<T>(path: string, call: Omit<Call, "isRepeatable">, read: (response: Response) => Promise<T>): Promise<T> {
    return this.repeat("GET", path, { ...call, isRepeatable: true }, read);
  }

  private async repeat<T>(
    method: string,
    path: string,
    call: Call,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const backoff = new Backoff();
    for (let attempt = 1; ; attempt += 1) {
      const isLast = attempt === ATTEMPTS || !call.isRepeatable;
      let refusal: ApiError;
      try {
        const response = await this.send(method, path, call);
        if (response.ok) return await read(response);
        refusal = await refusalOf(response);
      } catch (error) {
        if (isLast) throw new OutcomeUnknown(`${method} ${path}: the server does not answer`, { cause: error });
        await sleep(backoff.nextDelay());
        continue;
      }
      if (!TRY_AGAIN.has(refusal.status) || isLast) throw refusal;
      await sleep(backoff.nextDelay(refusal.retryAfterSeconds));
    }
  }

  private async send(method: string, path: string, call: Call): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${await this.apiKey()}` };
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    if (call.accept !== undefined) headers["Accept"] = call.accept;
    if (call.idempotencyKey !== undefined) headers["Idempotency-Key"] = call.idempotencyKey;
    return this.fetch(this.url + path + searchOf(call.query), {
      method,
      headers,
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: AbortSignal.timeout(call.timeoutMs ?? TIMEOUT_MS),
      credentials: "omit",
      cache: "no-store",
    });
  }
}

function searchOf(query: Query | undefined): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function problemOf(text: string): ProblemMembers {
  try {
    return JSON.parse(text) as ProblemMembers;
  } catch {
    return { code: "unreadable_answer", detail: text.slice(0, 200) };
  }
}

async function refusalOf(response: Response): Promise<ApiError> {
  const retryAfter = secondsOf(response.headers.get("Retry-After"));
  return new ApiError(response.status, problemOf(await response.text()), retryAfter);
}

function secondsOf(header: string | null): number {
  return header !== null && /^\d+$/.test(header) ? Number(header) : 0;
}

function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** 128 random bits as hexadecimal text. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

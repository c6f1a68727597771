/** The market's past: lists that follow their cursors, and files. */

import type { Bar, BookLevels, DecimalText, Instant, Page, Trade } from "./models.ts";
import { eachOf, pathOf, type Rest } from "./rest.ts";

const FILE_TIMEOUT_MS = 300_000;
const NEXT_CURSOR = "Agio-Next-Cursor";
const MEDIA_TYPES = { csv: "text/csv", parquet: "application/vnd.apache.parquet" } as const;

export type FileFormat = keyof typeof MEDIA_TYPES;
export type History = "trades" | "quotes" | "bars";

/** `start` is included, `end` is not; both are venue time, RFC 3339. */
export interface Span {
  readonly start?: Instant;
  readonly end?: Instant;
  /** Items of a page (at most 1,000), or rows of a file. */
  readonly limit?: number;
  readonly cursor?: string;
}

export interface TickSpan extends Span {
  /** Only what follows this sequence. */
  readonly after_seq?: number;
}

export interface BarSpan extends Span {
  /** IANA name: bars longer than an hour begin at its wall clock. */
  readonly time_zone?: string;
}

/** A trade of the past; `seq` is the `q` of the stream. */
export interface PastTrade extends Trade {
  readonly seq: number;
}

/** Best bid and offer at a venue time; null where a side was empty. */
export interface PastQuote {
  readonly seq: number;
  readonly bid: DecimalText | null;
  readonly bid_size: DecimalText | null;
  readonly ask: DecimalText | null;
  readonly ask_size: DecimalText | null;
  readonly venue_time: Instant;
}

/** A candle of any interval, such as 250ms, 5m, 4h, 1d, 2w, 3mo. */
export interface PastBar extends Omit<Bar, "interval"> {
  readonly interval: string;
}

/** Top levels, best first, after update `q`; `crc` is of the ten best. */
export interface BookSnapshot extends Required<BookLevels> {
  readonly symbol: string;
  readonly q: number;
  readonly venue_time: Instant;
  readonly crc: number;
}

/** A file of history. `body` can be read once: as it comes, or whole with `blob()`. */
export interface MarketFile {
  readonly name: string;
  readonly mediaType: string;
  /** `cursor` of the file with what did not fit into this one; null when this is the last. */
  readonly nextCursor: string | null;
  readonly body: ReadableStream<Uint8Array>;
  blob(): Promise<Blob>;
}

export class Market {
  private readonly rest: Rest;

  constructor(rest: Rest) {
    this.rest = rest;
  }

  /** Durable trades of any age, ascending by sequence; page after page as they are read. */
  trades(symbol: string, span: TickSpan = {}): AsyncIterable<PastTrade> {
    return this.each(`/api/market/${pathOf(symbol)}/trades`, span);
  }

  /** Best bids and offers, ascending by sequence; numbers may be left out. */
  quotes(symbol: string, span: TickSpan = {}): AsyncIterable<PastQuote> {
    return this.each(`/api/market/${pathOf(symbol)}/quotes`, span);
  }

  /** Candles, ascending; with neither start nor cursor the newest ones only. */
  bars(symbol: string, interval = "1m", span: BarSpan = {}): AsyncIterable<PastBar> {
    return this.each(`/api/market/${pathOf(symbol)}/bars`, { interval, ...span });
  }

  book(symbol: string, depth = 25): Promise<BookSnapshot> {
    return this.rest.get(`/api/market/${pathOf(symbol)}/book`, { depth });
  }

  /** One file of history; `nextCursor` leads to the rest of a long one. */
  file(
    history: History,
    symbol: string,
    format: FileFormat,
    span: (TickSpan | BarSpan) & { readonly interval?: string } = {},
  ): Promise<MarketFile> {
    const path = `/api/market/${pathOf(symbol)}/${history}`;
    const call = { query: { ...span }, accept: MEDIA_TYPES[format], timeoutMs: FILE_TIMEOUT_MS };
    return this.rest.download(path, call, async (response) => fileOf(response, `${symbol}-${history}.${format}`));
  }

  /** All of a history as files, one after the other; read each before the next is asked for. */
  async *files(
    history: History,
    symbol: string,
    format: FileFormat,
    span: (TickSpan | BarSpan) & { readonly interval?: string } = {},
  ): AsyncGenerator<MarketFile, void, undefined> {
    let cursor: string | null = span.cursor ?? null;
    do {
      const file: MarketFile = await this.file(history, symbol, format, cursor === null ? span : { ...span, cursor });
      yield file;
      cursor = file.nextCursor;
    } while (cursor !== null);
  }

  private each<T>(path: string, query: Span & { readonly interval?: string }): AsyncIterable<T> {
    return eachOf((cursor) => this.rest.get<Page<T>>(path, { ...query, cursor }), query.cursor ?? null);
  }
}

function fileOf(response: Response, fallback: string): MarketFile {
  const disposition = response.headers.get("Content-Disposition") ?? "";
  return {
    name: /filename="([^"/\\]+)"/.exec(disposition)?.[1] ?? fallback,
    mediaType: (response.headers.get("Content-Type") ?? "application/octet-stream").split(";")[0] as string,
    nextCursor: response.headers.get(NEXT_CURSOR),
    body: response.body ?? new ReadableStream<Uint8Array>({ start: (controller) => controller.close() }),
    blob: () => response.blob(),
  };
}

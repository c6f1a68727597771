/** TypeScript client of agio: `Agio` for REST, `agio.stream()` for the channels. */

export { AuthenticationBreaker, Backoff } from "./backoff.ts";
export { Book, type Level } from "./book.ts";
export { Agio, type AgioOptions, type AgioStreamOptions, type Fetch, type Query } from "./client.ts";
export type { Clock } from "./clock.ts";
export { Connections, type Presence, type StreamConnection } from "./connections.ts";
export type { Gap, GapReason, LogPosition } from "./continuity.ts";
export { crc32 } from "./crc32.ts";
export { Custody } from "./custody.ts";
export type * from "./custody_models.ts";
export * as decimal from "./decimal.ts";
export type { Decimal } from "./decimal.ts";
export type { WhenFull } from "./delivery.ts";
export { AgioError, ApiError, ChannelRefused, OutcomeUnknown, QueueOverflow, StreamClosed } from "./errors.ts";
export { EventReader, type EventMessage, type EventOptions, type StreamEvent } from "./events.ts";
export { Ledger } from "./ledger.ts";
export type * from "./ledger_models.ts";
export {
  Market,
  type BarSpan,
  type BookSnapshot,
  type FileFormat,
  type History,
  type MarketFile,
  type PastBar,
  type PastQuote,
  type PastTrade,
  type Span,
  type TickSpan,
} from "./market.ts";
export type * from "./models.ts";
export type { WebSocketConstructor, WebSocketLike } from "./socket.ts";
export { Stream } from "./stream.ts";
export type { GetCredential, Heartbeat, StreamEvents, StreamOptions, StreamState } from "./stream_options.ts";
export { Subscription, type Counters, type Message, type SubscriptionOptions, type Tier } from "./subscription.ts";
export type { Encoding, StreamCredential } from "./wire.ts";

/** TypeScript client of agio: `Agio` for REST, `agio.stream()` for the channels. */

export { Backoff, AuthenticationBreaker } from "./backoff.ts";
export { Book, type Level } from "./book.ts";
export { Agio, type AgioOptions, type Fetch, type Query } from "./client.ts";
export { crc32 } from "./crc32.ts";
export { Custody } from "./custody.ts";
export type * from "./custody_models.ts";
export * as decimal from "./decimal.ts";
export type { Decimal } from "./decimal.ts";
export { AgioError, ApiError, ChannelRefused, OutcomeUnknown, StreamClosed } from "./errors.ts";
export { Ledger } from "./ledger.ts";
export type * from "./ledger_models.ts";
export type * from "./models.ts";
export { Stream, type Heartbeat, type StreamEvents, type StreamState } from "./stream.ts";
export { Subscription, type Message, type SubscriptionOptions } from "./subscription.ts";

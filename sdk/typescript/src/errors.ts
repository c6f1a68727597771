/** What can go wrong, as errors that carry what the server said. */

/** Anything this package throws on purpose. */
export class AgioError extends Error {
  override name = "AgioError";
}

/** The members of an RFC 9457 problem that every refusal has. */
export interface ProblemMembers {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly request_id?: string;
  readonly [member: string]: unknown;
}

/** The server refused a request. `code` is stable and meant for programs, `detail` is meant for people. */
export class ApiError extends AgioError {
  override name = "ApiError";
  readonly status: number;
  readonly problem: ProblemMembers;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string | undefined;
  /** How long the server asks to wait; 0 when it does not say. */
  readonly retryAfterSeconds: number;

  constructor(status: number, problem: ProblemMembers, retryAfterSeconds = 0) {
    const code = problem.code ?? "unknown";
    const detail = problem.detail || problem.title || "";
    super(`${status} ${code}: ${detail}`);
    this.status = status;
    this.problem = problem;
    this.retryAfterSeconds = retryAfterSeconds;
    this.code = code;
    this.detail = detail;
    this.requestId = problem.request_id;
  }
}

/**
 * The connection broke while a request was under way, and repeating it did not settle the matter.
 *
 * Ask for the object by the idempotency key that you sent before you send anything else.
 */
export class OutcomeUnknown extends AgioError {
  override name = "OutcomeUnknown";
}

/** The server closed the stream for good, or the circuit breaker gave up; `code` is the close code. */
export class StreamClosed extends AgioError {
  override name = "StreamClosed";
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string) {
    super(`${code}: ${reason}`);
    this.code = code;
    this.reason = reason;
  }
}

/** The server refused a subscription; other subscriptions go on. */
export class ChannelRefused extends AgioError {
  override name = "ChannelRefused";
  readonly channel: string;
  readonly code: string;
  readonly detail: string;

  constructor(channel: string, code: string, detail: string) {
    super(`${channel}: ${code} ${detail}`.trimEnd());
    this.channel = channel;
    this.code = code;
    this.detail = detail;
  }
}

/** A subscription's queue was full, and its policy was to fail. */
export class QueueOverflow extends AgioError {
  override name = "QueueOverflow";
  readonly channel: string;

  constructor(channel: string, limit: number) {
    super(`${channel}: more than ${limit} messages wait to be read`);
    this.channel = channel;
  }
}

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
  readonly code: string;
  readonly detail: string;
  readonly requestId: string | undefined;

  constructor(
    readonly status: number,
    readonly problem: ProblemMembers,
  ) {
    const code = problem.code ?? "unknown";
    const detail = problem.detail || problem.title || "";
    super(`${status} ${code}: ${detail}`);
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

  constructor(
    readonly code: number,
    readonly reason: string,
  ) {
    super(`${code}: ${reason}`);
  }
}

/** The server refused a subscription; other subscriptions go on. */
export class ChannelRefused extends AgioError {
  override name = "ChannelRefused";

  constructor(
    readonly channel: string,
    readonly code: string,
    readonly detail: string,
  ) {
    super(`${channel}: ${code} ${detail}`.trimEnd());
  }
}

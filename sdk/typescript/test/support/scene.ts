/** A stream against a scripted server, with everything that it tells written down. */

import type { Gap } from "../../src/continuity.ts";
import type { AgioError } from "../../src/errors.ts";
import { Stream } from "../../src/stream.ts";
import type { GetCredential, StreamOptions, StreamState } from "../../src/stream_options.ts";
import type { Message, Subscription, SubscriptionOptions } from "../../src/subscription.ts";
import { TestClock, until } from "./clock.ts";
import { TestServer, type Peer } from "./server.ts";

export interface Followed {
  readonly subscription: Subscription<unknown>;
  readonly messages: Message<unknown>[];
  readonly gaps: Gap[];
  readonly errors: AgioError[];
}

/** The runtime's WebSocket, which also tells when its owner has heard of its end. */
function watched(ended: () => void) {
  return class extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      this.addEventListener("close", () => setImmediate(ended));
    }
  };
}

export class Scene {
  private closed = 0;
  private beats = 0;
  private beat = 0;
  readonly clock = new TestClock();
  readonly states: StreamState[] = [];
  readonly server: TestServer;
  readonly stream: Stream;

  private constructor(server: TestServer, credential: GetCredential, options: StreamOptions) {
    this.server = server;
    this.stream = new Stream(server.url, credential, {
      clock: this.clock,
      random: () => 0.5,
      webSocket: watched(() => (this.closed += 1)),
      onState: (state) => this.states.push(state),
      onHeartbeat: ({ serverTime }) => (this.beat = Number(serverTime.split("beat ")[1] ?? this.beat)),
      ...options,
    });
  }

  static async start(credential: GetCredential = () => "tkt_1", options: StreamOptions = {}): Promise<Scene> {
    return new Scene(await TestServer.start(), credential, options);
  }

  follow(channel: string, options: SubscriptionOptions<unknown> = {}): Followed {
    const messages: Message<unknown>[] = [];
    const gaps: Gap[] = [];
    const errors: AgioError[] = [];
    const subscription = this.stream.subscribe<unknown>(channel, {
      onMessage: (message) => messages.push(message),
      onGap: (gap) => gaps.push(gap),
      onError: (error) => errors.push(error),
      ...options,
    });
    return { subscription, messages, gaps, errors };
  }

  /** The connection with this number, welcomed. */
  async welcome(number: number, members: object = {}): Promise<Peer> {
    const peer = await this.server.peer(number);
    await peer.hears("auth");
    peer.welcome(members);
    return peer;
  }

  /** Wait until the stream has read all that a peer has told it. */
  async heard(peer: Peer): Promise<void> {
    this.beats += 1;
    const beat = this.beats;
    peer.tell({ op: "hb", server_time: `beat ${beat}`, top: {}, sources: {}, count: 0 });
    await until(() => this.beat >= beat, "the heartbeat");
  }

  /** Wait until the stream was told that so many of its connections have ended. */
  ends(count: number): Promise<void> {
    return until(() => this.closed >= count, `the end of connection ${count}`);
  }

  async stop(): Promise<void> {
    this.stream.close();
    await this.server.stop();
  }
}

export const push = (n: number, q: number, d: unknown = {}) => ({ n, q, t: q, d });
export const sequences = (followed: Followed) => followed.messages.map((message) => message.q);

/** Who of the organisation is connected to the streams, and the way to disconnect one. */

import type { Instant, Page } from "./models.ts";
import { eachOf, pathOf, type Rest } from "./rest.ts";

/** A channel of a connection; position and lag of log channels only. */
export interface Presence {
  readonly channel: string;
  readonly position: number | null;
  readonly lag: number | null;
}

/** An authenticated stream on the node that answered. */
export interface StreamConnection {
  readonly connection_id: string;
  readonly door: string;
  readonly encoding: string;
  readonly key_id: string;
  readonly address: string;
  readonly connected_at: Instant;
  readonly expires_at: Instant;
  readonly channels: readonly Presence[];
  readonly queued_bytes: number;
  readonly oldest_seconds: number;
  readonly written: number;
  readonly dropped: number;
}

export class Connections {
  private readonly rest: Rest;

  constructor(rest: Rest) {
    this.rest = rest;
  }

  /** Needs `ops:read`; oldest first, page by page as they are read. */
  list(limit = 100): AsyncIterable<StreamConnection> {
    return eachOf((cursor) => this.rest.get<Page<StreamConnection>>("/api/stream/connections", { limit, cursor }));
  }

  /** Needs `keys:write`. Closes one with 4011; its client may return, so revoke the key to keep it out. */
  async disconnect(connectionId: string): Promise<void> {
    await this.rest.request("DELETE", `/api/stream/connections/${pathOf(connectionId)}`, { isRepeatable: false });
  }
}

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { Agio, ApiError, StreamClosed, type StreamEvent } from "../src/index.ts";
import { EventParser } from "../src/events.ts";
import { until } from "./support/clock.ts";
import { generator } from "./support/random.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

let server: Server;
const asked: string[] = [];

async function serve(answer: Answer, apiKey: string | (() => string) = "key"): Promise<Agio> {
  asked.length = 0;
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    answer(request, response, new URL(request.url ?? "", "http://x"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new Agio({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, apiKey });
}

const json = (response: ServerResponse, value: unknown, status = 200, headers = {}) =>
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value));

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe("history", () => {
  it("follows its cursors, and only as far as it is read", async () => {
    const agio = await serve((_, response, url) => {
      const page = Number(url.searchParams.get("cursor") ?? 0);
      json(response, { items: [{ seq: page * 2 + 1 }, { seq: page * 2 + 2 }], next_cursor: page < 2 ? `${page + 1}` : null });
    });
    const trades = await all(agio.market.trades("BTC-USD", { start: "2026-01-01T00:00:00Z", limit: 2 }));
    assert.deepEqual(trades.map((trade) => trade.seq), [1, 2, 3, 4, 5, 6]);
    assert.equal(asked[1], "GET /api/market/BTC-USD/trades?start=2026-01-01T00%3A00%3A00Z&limit=2&cursor=1");
    for await (const quote of agio.market.quotes("A/B")) {
      assert.equal(quote.seq, 1);
      break;
    }
    assert.deepEqual(asked.slice(3), ["GET /api/market/A%2FB/quotes"]);
  });

  it("asks for bars of any interval and for the book", async () => {
    const agio = await serve((_, response, url) =>
      json(response, url.pathname.endsWith("book") ? { q: 7 } : { items: [], next_cursor: null }),
    );
    assert.deepEqual(await all(agio.market.bars("ES", "4h", { time_zone: "America/Chicago" })), []);
    assert.equal((await agio.market.book("ES", 5)).q, 7);
    assert.deepEqual(asked, [
      "GET /api/market/ES/bars?interval=4h&time_zone=America%2FChicago",
      "GET /api/market/ES/book?depth=5",
    ]);
  });

  it("comes as files, one after the other", async () => {
    const agio = await serve((request, response, url) => {
      assert.equal(request.headers.accept, "text/csv");
      const isLast = url.searchParams.get("cursor") === "c1";
      response.writeHead(200, {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": 'attachment; filename="ES-trades.csv"',
        ...(isLast ? {} : { "Agio-Next-Cursor": "c1" }),
      });
      response.end(isLast ? "2\n" : "1\n");
    });
    const texts: string[] = [];
    for await (const file of agio.market.files("trades", "ES", "csv")) {
      assert.deepEqual([file.name, file.mediaType], ["ES-trades.csv", "text/csv"]);
      texts.push(await (await file.blob()).text());
    }
    assert.deepEqual(texts, ["1\n", "2\n"]);
    const { body } = await agio.market.file("trades", "ES", "csv", { cursor: "c1" });
    assert.equal(await new Response(body).text(), "2\n");
  });
});

describe("connections", () => {
  it("are listed and ended", async () => {
    const agio = await serve((request, response) => {
      if (request.method === "DELETE") response.writeHead(204).end();
      else json(response, { items: [{ connection_id: "con_1" }], next_cursor: null });
    });
    const [one] = await all(agio.connections.list());
    await agio.connections.disconnect(one?.connection_id ?? "");
    assert.deepEqual(asked, ["GET /api/stream/connections?limit=100", "DELETE /api/stream/connections/con_1"]);
  });
});

describe("a request", () => {
  it("asks for the present key each time", async () => {
    let number = 0;
    const keys: unknown[] = [];
    const agio = await serve(
      (request, response) => {
        keys.push(request.headers.authorization);
        json(response, {});
      },
      () => `key_${(number += 1)}`,
    );
    await agio.me();
    await agio.me();
    assert.deepEqual(keys, ["Bearer key_1", "Bearer key_2"]);
  });

  it("is repeated while the server is busy, and refused with what the server said", async () => {
    const agio = await serve((_, response) => {
      if (asked.length === 1) json(response, {}, 503);
      else json(response, { code: "forbidden", detail: "no" }, 403, { "Retry-After": "7" });
    });
    await assert.rejects(agio.me(), (error: ApiError) => {
      assert.deepEqual([error.status, error.code, error.retryAfterSeconds], [403, "forbidden", 7]);
      return true;
    });
    assert.equal(asked.length, 2);
  });
});

describe("events", () => {
  const start = (response: ServerResponse, text: string) =>
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write(`retry: 1\n\n${text}`);

  it("go on from the last id when the connection ends", async () => {
    const ids: unknown[] = [];
    const agio = await serve((request, response) => {
      ids.push(request.headers["last-event-id"]);
      assert.equal(request.headers.authorization, "Bearer key");
      if (ids.length === 1) {
        start(response, 'id: p1\ndata: [{"n":1,"q":1,"t":0,"d":{}},{"n":1,"q":2,"t":0,"d":{}}]\n\nid: p2\ndata: {"n"');
        response.end();
      } else start(response, 'id: p3\r\ndata: {"n":1,"q":3,"t":0,"d":{}}\r\n\r\n');
    });
    const reader = agio.events(["trades:A", "book:B"], { random: () => 0 });
    const seen: StreamEvent[] = [];
    for await (const event of reader) if (seen.push(event) === 2) break;
    assert.deepEqual(seen.flatMap((event) => event.messages.map((message) => message.q)), [1, 2, 3]);
    assert.deepEqual(ids, [undefined, "p1"]);
    assert.equal(reader.lastEventId, "p3");
    assert.equal(asked[0], "GET /stream/sse?ch=trades%3AA&ch=book%3AB");
  });

  it("throw what waiting does not mend", async () => {
    const agio = await serve((_, response) => json(response, { code: "unknown_channel" }, 404));
    await assert.rejects(all(agio.events(["nothing:x"])), ApiError);
    server.removeAllListeners("request");
    server.on("request", (_, response) => start(response, 'data: {"op":"close","code":4502,"reason":"revoked"}\n\n'));
    await assert.rejects(all(agio.events(["trades:x"])), StreamClosed);
  });

  it("end when their signal says so", async () => {
    const agio = await serve((_, response) => start(response, ""));
    const controller = new AbortController();
    const reading = all(agio.events(["trades:x"], { signal: controller.signal }));
    await until(() => asked.length === 1);
    controller.abort();
    assert.deepEqual(await reading, []);
  });

  it("are the same wherever the bytes are cut", () => {
    const text = 'retry: 5\r\rid: a\ndata: {"x":\ndata: "é𝄞"}\r\n\r\n: a comment\nid: b\ndata:1\n\n';
    const bytes = new TextEncoder().encode(text);
    const whole = new EventParser().feed(bytes);
    assert.deepEqual(whole.map((event) => [event.id, event.data]), [["", ""], ["a", '{"x":\n"é𝄞"}'], ["b", "1"]]);
    const random = generator(5);
    for (let round = 0; round < 200; round += 1) {
      const parser = new EventParser();
      const events = [];
      for (let at = 0; at < bytes.length; ) {
        const next = Math.min(bytes.length, at + random.integer(1, 9));
        events.push(...parser.feed(bytes.subarray(at, next)));
        at = next;
      }
      assert.deepEqual(events, whole);
    }
  });
});

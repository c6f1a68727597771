/** The TypeScript SDK in Node: follows a platform and tells each thing as a line of JSON, until its input ends. */

import { Agio, decimal, type Trade } from "../../sdk/typescript/src/index.ts";

const [encoding, ...symbols] = process.argv.slice(2);
const tell = (kind: string, members: object) => console.log(JSON.stringify({ kind, ...members }));

const agio = new Agio({ url: process.env["AGIO_URL"] ?? "", apiKey: process.env["AGIO_API_KEY"] ?? "" });
const stream = agio.stream({
  encoding: encoding === "msgpack" ? "msgpack" : "json",
  onState: (state) => tell("state", { state }),
  onGap: (gap) => tell("gap", gap),
});

async function follow(symbol: string): Promise<void> {
  for await (const { q, data } of stream.subscribe<Trade>(`trades:${symbol}`)) {
    tell("trade", { symbol, q, price: data.price, size: data.size, volume: decimal.format(decimal.of(data.size)) });
  }
  tell("end", { symbol });
}

const reading = symbols.map(follow);
const book = stream.subscribe("book:BTC-USD", {
  onMessage: ({ q, isSnapshot }) => tell("book", { q, isSnapshot, isValid: book.book?.isValid === true }),
});

for await (const _ of process.stdin);
stream.close();
await Promise.all(reading);

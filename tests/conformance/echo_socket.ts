/** The TypeScript SDK's socket as an echo, for Autobahn's cases: node echo_socket.ts URL CASES AT_ONCE */

import { Socket } from "../../sdk/typescript/src/socket.ts";

const [base, count, atOnce] = process.argv.slice(2);
let number = 0;

function echo(url: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = new Socket(url, [], {
      onOpen: () => undefined,
      onMessage: (data) => socket.send(data),
      onClose: () => resolve(),
    });
  });
}

async function runOneAfterTheOther(): Promise<void> {
  while (number < Number(count)) {
    number += 1;
    await echo(`${base}/runCase?case=${number}&agent=agio-sdk`);
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, runOneAfterTheOther));
process.exit(0);

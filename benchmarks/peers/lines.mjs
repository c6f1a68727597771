// One publisher: lines over TCP.
import { createServer } from 'node:net'

export function serveLines(port, tell) {
  createServer((publisher) => {
    let rest = Buffer.alloc(0)
    publisher.setNoDelay(true)
    publisher.on('data', (data) => {
      let text = rest.length ? Buffer.concat([rest, data]) : data
      for (let end = text.indexOf(10); end >= 0; end = text.indexOf(10)) {
        tell(text.subarray(0, end))
        text = text.subarray(end + 1)
      }
      rest = text
    })
  }).listen(Number(port), '127.0.0.1')
}

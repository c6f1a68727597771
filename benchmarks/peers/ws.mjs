// The fan-out of Node's `ws`: a line from the publisher goes to every client.
import { createRequire } from 'node:module'
import { serveLines } from './lines.mjs'

const [folder, port, linesPort] = process.argv.slice(2)
const { WebSocketServer, WebSocket } = createRequire(`${folder}/`)('ws')

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false })
serveLines(linesPort, (line) => {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(line, { binary: false })
  }
})

// The fan-out of uWebSockets: a line from the publisher goes to the topic that every client is on.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { serveLines } from './lines.mjs'

const [folder, port, linesPort] = process.argv.slice(2)
const name = '@trufflesuite/uws-js-unofficial'
const abi = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`
if (!existsSync(`${folder}/node_modules/${name}/binaries/${abi}`)) {
  // Without its binary the package falls back to an imitation in JavaScript, which is something else.
  console.error(`${name} has no binary ${abi}`)
  process.exit(1)
}
const uws = createRequire(`${folder}/`)(name)

const app = uws.App().ws('/*', {
  compression: 0,
  maxBackpressure: 64 * 1024 * 1024,
  idleTimeout: 120,
  open: (client) => client.subscribe('all'),
})
app.listen('127.0.0.1', Number(port), (socket) => {
  if (!socket) process.exit(1)
})
serveLines(linesPort, (line) => app.publish('all', line, false))

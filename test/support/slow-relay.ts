/** `node slow-relay.js HOST FROM TO MILLISECONDS`: passes connections on, each byte so much later either way, as a far network does. */
import * as net from 'node:net'

const [host, from, to, milliseconds] = process.argv.slice(2) as [string, string, string, string]

const later = (source: net.Socket, target: net.Socket) => {
  const after = (what: () => void) => setTimeout(what, Number(milliseconds))
  source.on('data', data => after(() => target.write(data)))
  source.on('close', () => after(() => target.destroy()))
  source.on('error', () => undefined)
}

net
  .createServer(client => {
    const server = net.connect(Number(to), host)
    later(client, server)
    later(server, client)
  })
  .listen(Number(from), host, () => process.stdout.write('ready\n'))

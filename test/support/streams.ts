/**
 * Servers for tests of a relay, one behaviour on each port, over IPv4 and IPv6. Run in a namespace; says on stdout what
 * came of each connection. All bytes are of `pattern`, so that both sides can tell what should come.
 */
import * as crypto from 'node:crypto'
import * as net from 'node:net'

export const ports = {
  /** Sends back what it gets, and FIN for FIN. */
  echo: 2201,
  /** Waits for our end, then sends how much it got, and ends. */
  late: 2202,
  /** Sends a greeting and FIN at once, reads on to the end, and says what it got. */
  first: 2203,
  /** Sends 64 MB as fast as they are taken, and ends. */
  source: 2204,
  /** Takes nothing at all. */
  wall: 2205,
  /** Sends 8 MB, and says when it has got as many itself. */
  both: 2206,
  /** Greets, then resets the connection at the first byte that it gets. */
  reset: 2207,
  /** Greets and closes, and so takes nothing any more. */
  gone: 2208,
} as const

export const megabyte = 1 << 20

/** A megabyte in which no part is like another. */
export const pattern = crypto.createHash('shake256', { outputLength: megabyte }).update('pattern').digest()

type Behaviour = (socket: net.Socket, say: (text: string) => void) => void

function sendMegabytes(socket: net.Socket, count: number, whenSent: () => void = () => undefined): void {
  let left = count
  const more = () => {
    while (left-- > 0) if (!socket.write(pattern)) return void socket.once('drain', more)
    whenSent()
  }
  more()
}

const behaviours: Readonly<Record<keyof typeof ports, Behaviour>> = {
  echo: socket => socket.pipe(socket),
  late: socket => {
    let got = 0
    socket.on('data', chunk => (got += chunk.length))
    socket.on('end', () => setTimeout(() => socket.end(`got ${got}`), 300))
  },
  first: (socket, say) => {
    let got = ''
    socket.on('data', chunk => (got += chunk.toString()))
    socket.on('end', () => say(`got ${got}`))
    socket.end('greeting')
  },
  source: socket => sendMegabytes(socket.resume(), 64, () => socket.end()),
  wall: socket => socket.pause(),
  both: (socket, say) => {
    let got = 0
    socket.on('data', chunk => {
      got += chunk.length
      if (got === 8 * megabyte) say('got all')
    })
    // Its own end comes when the peer has ended and all is sent, in whichever order that happens.
    let waitedFor = 2
    const end = () => {
      if (--waitedFor === 0) socket.end()
    }
    sendMegabytes(socket, 8, end)
    socket.on('end', end)
  },
  reset: socket => {
    socket.once('data', () => socket.resetAndDestroy())
    socket.write('greeting')
  },
  gone: socket => socket.end('greeting', () => socket.destroy()),
}

if (process.argv[2] === 'serve') {
  for (const [name, behave] of Object.entries(behaviours)) {
    const say = (text: string) => process.stdout.write(`${name}: ${text}\n`)
    const server = net.createServer({ allowHalfOpen: true }, socket => {
      socket.on('error', () => undefined).on('close', () => say('closed'))
      say('connected')
      behave(socket, say)
    })
    await new Promise<void>(done => server.listen(ports[name as keyof typeof ports], '::', done))
  }
  process.stdout.write('serving\n')
}

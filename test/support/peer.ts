/**
 * The other side of a test, run in a namespace: takes the steps given as JSON, one right after the other in the same
 * process, and prints what came of each. Starting a process takes longer than a knock does, so "connect right after the
 * knock" has to be one process's work. Without an argument it stays, and takes a line of steps from stdin each time.
 */
import * as dgram from 'node:dgram'
import * as net from 'node:net'
import { createInterface } from 'node:readline'

export interface Target {
  readonly host: string
  readonly port: number
  /** Source address; the system's choice without it. */
  readonly from?: string
}

export type Step =
  | { readonly send: Target & { readonly hex: string; readonly sourcePort?: number } }
  | { readonly connect: Target & { readonly timeout?: number; readonly hold?: number; readonly sourcePort?: number } }
  | { readonly echo: Target & { readonly text: string; readonly sourcePort?: number; readonly timeout?: number } }
  /** Connects again and again, each millisecond. */
  | { readonly hammer: Target & { readonly milliseconds: number } }
  | { readonly wait: number }
  | { readonly serve: readonly number[] }

export interface Outcome {
  /** `open` and `echoed`: it came through; `reset`, `unreachable`: it was rejected; `timeout`: nothing came back. */
  readonly result: 'open' | 'echoed' | 'reset' | 'unreachable' | 'timeout' | 'cut' | 'held' | 'sent' | 'done'
  readonly milliseconds: number
  /** Of a `hammer`: how often it came in, and when first and last, in milliseconds from its start. */
  readonly opened?: Opened
}

interface Opened {
  times: number
  readonly first: number
  last: number
}

/** Below TCP's first retransmission after a second: what opens later than this did so by a repeated SYN. */
const patience = Number(process.env['PKCTL_TEST_PATIENCE'] ?? 700)

async function take(step: Exclude<Step, { hammer: unknown }>): Promise<Outcome['result']> {
  if ('send' in step) return send(step.send)
  if ('connect' in step) return connect(step.connect)
  if ('echo' in step) return echo(step.echo)
  if ('serve' in step) return serve(step.serve)
  await new Promise(done => setTimeout(done, step.wait))
  return 'done'
}

/** Each attempt is one SYN, and given up before it is repeated. */
async function hammer({ host, port, from, milliseconds }: Extract<Step, { hammer: unknown }>['hammer']) {
  const start = performance.now()
  const since = () => performance.now() - start
  let opened: Opened | undefined
  while (since() < milliseconds) {
    const socket = net.connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) })
    socket.on('error', () => undefined)
    socket.on('connect', () => {
      opened ??= { times: 0, first: since(), last: 0 }
      opened.times++
      opened.last = since()
      socket.destroy()
    })
    setTimeout(() => socket.destroy(), patience)
    await new Promise(done => setTimeout(done, 1))
  }
  return opened
}

const family = (host: string) => (net.isIPv6(host) ? 'udp6' : 'udp4')

function send({ host, port, from, sourcePort, hex }: Extract<Step, { send: unknown }>['send']) {
  return new Promise<'sent'>((resolve, reject) => {
    const socket = dgram.createSocket(family(host))
    socket.bind(sourcePort ?? 0, from, () => {
      socket.send(Buffer.from(hex, 'hex'), port, host, error => {
        socket.close()
        if (error) reject(error)
        else resolve('sent')
      })
    })
  })
}

function connect({
  host,
  port,
  from,
  sourcePort,
  timeout = patience,
  hold,
}: Extract<Step, { connect: unknown }>['connect']) {
  return new Promise<Outcome['result']>(resolve => {
    const socket = net.connect({
      host,
      port,
      ...(from === undefined ? {} : { localAddress: from }),
      ...(sourcePort === undefined ? {} : { localPort: sourcePort }),
    })
    const done = (result: Outcome['result']) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(result)
    }
    let timer = setTimeout(() => done('timeout'), timeout)
    socket.on('connect', () => {
      if (hold === undefined) return
      // Still alive after a while? Then what is sent comes back.
      clearTimeout(timer)
      timer = setTimeout(() => {
        socket.once('data', () => done('held'))
        socket.write('still there')
        timer = setTimeout(() => done('cut'), timeout)
      }, hold)
    })
    if (hold === undefined) socket.on('data', () => done('open'))
    else socket.once('data', () => undefined)
    socket.on('error', ({ code }: NodeJS.ErrnoException) => done(code === 'ECONNREFUSED' ? 'reset' : 'unreachable'))
  })
}

function echo({ host, port, from, sourcePort, text, timeout = patience }: Extract<Step, { echo: unknown }>['echo']) {
  return new Promise<Outcome['result']>(resolve => {
    const socket = dgram.createSocket(family(host))
    const done = (result: Outcome['result']) => {
      clearTimeout(timer)
      socket.close()
      resolve(result)
    }
    const timer = setTimeout(() => done('timeout'), timeout)
    socket.on('message', () => done('echoed'))
    socket.on('error', () => done('unreachable'))
    socket.bind(sourcePort ?? 0, from, () => {
      // Connected, so that an ICMP error is told to us.
      socket.connect(port, host, () => socket.send(text))
    })
  })
}

async function serve(ports: readonly number[]): Promise<'done'> {
  for (const port of ports) {
    const server = net.createServer(socket => {
      socket.on('error', () => undefined)
      socket.write('hello')
      socket.pipe(socket)
    })
    await new Promise<void>(resolve => server.listen(port, '::', resolve))
    for (const type of ['udp4', 'udp6'] as const) {
      const socket = dgram.createSocket({ type, ipv6Only: type === 'udp6' })
      socket.on('message', (message, from) => socket.send(message, from.port, from.address))
      await new Promise<void>(resolve => socket.bind(port, type === 'udp4' ? '0.0.0.0' : '::', resolve))
    }
  }
  process.stdout.write('serving\n')
  return new Promise(() => undefined)
}

async function takeAll(steps: readonly Step[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const step of steps) {
    const start = process.hrtime.bigint()
    const opened = 'hammer' in step ? await hammer(step.hammer) : undefined
    const result = 'hammer' in step ? 'done' : await take(step)
    const milliseconds = Number(process.hrtime.bigint() - start) / 1e6
    outcomes.push({ result, milliseconds, ...(opened ? { opened } : {}) })
  }
  return outcomes
}

/** What is asked of one that stays, and its answer. */
export interface Request {
  readonly id: number
  readonly steps: readonly Step[]
}
export type Answer = { readonly id: number } & ({ readonly outcomes: Outcome[] } | { readonly error: string })

async function answer({ id, steps }: Request): Promise<void> {
  const result = await takeAll(steps).then(
    outcomes => ({ id, outcomes }),
    (error: unknown) => ({ id, error: String(error) }),
  )
  process.stdout.write(`${JSON.stringify(result satisfies Answer)}\n`)
}

const [, , argument] = process.argv
if (argument !== undefined) process.stdout.write(`${JSON.stringify(await takeAll(JSON.parse(argument) as Step[]))}\n`)
else createInterface({ input: process.stdin }).on('line', line => void answer(JSON.parse(line) as Request))

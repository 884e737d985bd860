import { randomBytes, randomInt } from 'node:crypto'
import * as dgram from 'node:dgram'
import type { LookupAddress } from 'node:dns'
import * as dns from 'node:dns/promises'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { Command } from 'commander'
import { parseDuration, parsePort } from '../../controller/config/values.js'
import type { PkdKey } from '../../knock/pkd.js'
import { defaultTag, encodePkd, parseKey, parseTag } from '../../knock/pkd.js'
import type { Place } from '../places.js'
import { expandHome, findPlace } from '../places.js'
import { askSecret } from '../prompt.js'
import type { Terminal } from '../terminal.js'
import { CliError, usageError } from '../terminal.js'

interface KnockFlags {
  readonly port?: string
  readonly tag?: string
  readonly keyFile?: string
  readonly keyEnv?: string
  readonly 4?: boolean
  readonly 6?: boolean
  readonly connect?: string
  readonly timeout: string
  readonly verbose?: boolean
}

interface Address {
  readonly address: string
  readonly family: 4 | 6
}

const knockHelp = `
The host is a name from ~/.config/pkctl/hosts.yaml, or a name or address of the network. Without -4 or -6 a knock goes
out over both versions of IP that the name has, because what connects next may take either. Without --port each knock
takes a random one. The key is asked for when no option names it; from a pipe, its first line is the key.

A place in hosts.yaml:
  home:
    host: server.example
    tag: SSHK
    key-file: ~/.config/pkctl/home.key
    connect: 22

Exit status: 0 sent (with --connect: and the port is open), 1 not, 2 wrong usage.`

/** Random ports stay clear of those where services listen. */
const firstRandomPort = 1024

export function knockCommand(terminal: Terminal): Command {
  return new Command('knock')
    .description('knock at a server: send one PKD packet, and with --connect try the port at once')
    .argument('<host>', 'a place of hosts.yaml, or a name or address')
    .option('--port <port>', 'UDP port to knock on (default: a random one)')
    .option('--tag <tag>', `tag of the credential, text or 0x… (default: ${defaultTag})`)
    .option('--key-file <file>', 'file whose first line is the key')
    .option('--key-env <variable>', 'environment variable that holds the key')
    .option('-4', 'only over IPv4')
    .option('-6', 'only over IPv6')
    .option('--connect <port>', 'then try this TCP port at once, and tell')
    .option('--timeout <time>', 'how long to try', '5s')
    .option('-v, --verbose', 'say what is sent where')
    .addHelpText('after', knockHelp)
    .action((host: string, flags: KnockFlags) => knock(host, flags, terminal))
}

async function knock(name: string, flags: KnockFlags, terminal: Terminal): Promise<void> {
  if (flags[4] && flags[6]) throw usageError('-4 and -6 exclude each other', 'leave both out to knock over both')
  if (flags.keyFile !== undefined && flags.keyEnv !== undefined)
    throw usageError('--key-file and --key-env exclude each other')
  const place: Place = findPlace(name) ?? { host: name }
  const port = flags.port === undefined ? place.port : parsePort(flags.port)
  const connectPort = flags.connect === undefined ? place.connect : parsePort(flags.connect)
  const timeout = parseDuration(flags.timeout) * 1000
  const tag = parseTag(flags.tag ?? place.tag ?? defaultTag)
  const family = flags[4] ? 4 : flags[6] ? 6 : place.family === undefined ? undefined : place.family === '4' ? 4 : 6
  const addresses = await resolve(place.host, family)
  const key = await findKey(flags, place)

  const started = process.hrtime.bigint()
  let sent = 0
  for (const address of addresses) {
    const target = port ?? randomInt(firstRandomPort, 65_536)
    const payload = encodePkd({ tag, time: Math.floor(Date.now() / 1000), random: randomBytes(12) }, target, key)
    try {
      await send(address, target, payload)
      sent++
      if (flags.verbose) terminal.out(`knocked at ${address.address} port ${target}/udp`)
    } catch (error) {
      // A name may have an address of a version that this machine does not speak.
      if (addresses.length === 1)
        throw new CliError(`no knock could be sent to ${address.address}: ${(error as Error).message}`)
    }
  }
  if (sent === 0) throw new CliError(`no knock could be sent to ${place.host}`, 'is there a route to it?')
  if (connectPort !== undefined) await tryPort(addresses, connectPort, timeout, started, terminal)
}

async function resolve(host: string, family: 4 | 6 | undefined): Promise<Address[]> {
  const version = net.isIP(host)
  if (version !== 0 && family !== undefined && version !== family) {
    throw usageError(`${host} is an IPv${version} address, and -${family} asks for IPv${family}`)
  }
  let found: LookupAddress[]
  try {
    found = await dns.lookup(host, { all: true, family: family ?? 0, verbatim: true })
  } catch (error) {
    const hint = 'is it misspelt, or missing in hosts.yaml?'
    throw new CliError(`${host} is not known: ${(error as NodeJS.ErrnoException).code ?? ''}`, hint)
  }
  // One of each version: a knock opens for the source that the server sees, which differs between the two only.
  const first = (wanted: 4 | 6) => found.find(({ family: its }) => its === wanted)
  return [first(6), first(4)].flatMap(one =>
    one ? [{ address: one.address, family: one.family === 6 ? 6 : 4 } as const] : [],
  )
}

async function findKey(flags: KnockFlags, place: Place): Promise<PkdKey> {
  const file = flags.keyFile ?? (flags.keyEnv === undefined ? place['key-file'] : undefined)
  if (file !== undefined) return parseKey(readKeyFile(expandHome(file)))
  if (flags.keyEnv !== undefined) {
    const value = process.env[flags.keyEnv]
    if (value === undefined) throw usageError(`the environment has no variable ${flags.keyEnv}`)
    return parseKey(value)
  }
  return parseKey(place.key ?? (await askSecret('key: ')))
}

function readKeyFile(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  } catch (error) {
    throw new CliError(`the key file ${file} cannot be read: ${(error as Error).message}`)
  }
}

function send({ address, family }: Address, port: number, payload: Buffer): Promise<void> {
  return new Promise((done, fail) => {
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6')
    socket.on('error', fail)
    socket.send(payload, port, address, error => {
      socket.close()
      if (error) fail(error)
      else done()
    })
  })
}

async function tryPort(
  addresses: readonly Address[],
  port: number,
  timeout: number,
  started: bigint,
  terminal: Terminal,
): Promise<void> {
  const elapsed = () => `${(Number(process.hrtime.bigint() - started) / 1e6).toFixed(1)} ms`
  try {
    const address = await Promise.any(addresses.map(target => connect(target, port, timeout)))
    terminal.out(`${address} port ${port}/tcp is open, ${elapsed()} after the knock`)
  } catch (error) {
    const reasons = (error as AggregateError).errors as Error[]
    const hint = 'wrong key, tag or port of the knock, or a clock that differs; the log of pkctld tells'
    throw new CliError(
      `port ${port}/tcp is not open after ${elapsed()}: ${reasons.map(({ message }) => message).join('; ')}`,
      hint,
    )
  }
}

function connect({ address }: Address, port: number, timeout: number): Promise<string> {
  return new Promise((done, fail) => {
    const socket = net.connect({ host: address, port, timeout })
    const end = (finish: () => void) => {
      socket.destroy()
      finish()
    }
    socket.on('connect', () => end(() => done(address)))
    socket.on('timeout', () => end(() => fail(new Error(`no answer from ${address}`))))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const refused = error.code === 'ECONNREFUSED' ? `${address} refuses` : error.message
      end(() => fail(new Error(refused)))
    })
  })
}

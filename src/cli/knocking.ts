/** What `pkctl knock` and `pkctl connect` share: whose key it is, where the knock goes, and sending it. */
import { randomBytes, randomInt } from 'node:crypto'
import * as dgram from 'node:dgram'
import type { LookupAddress } from 'node:dns'
import * as dns from 'node:dns/promises'
import * as fs from 'node:fs'
import * as net from 'node:net'
import type { Command } from 'commander'
import { parsePort } from '../controller/config/values.js'
import { encodeObo } from '../knock/obo.js'
import type { PkdKey } from '../knock/pkd.js'
import { defaultTag, encodePkd, parseKey, parseTag } from '../knock/pkd.js'
import { findIptPkdPlace } from './iptpkd.js'
import type { Place } from './places.js'
import { expandHome, findPlace } from './places.js'
import { CliError, usageError } from './terminal.js'

export interface KnockFlags {
  readonly tag?: string
  readonly keyFile?: string
  readonly keyEnv?: string
  readonly 4?: boolean
  readonly 6?: boolean
}

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

/** A server, and all that a knock at it is made of. */
export interface Target {
  readonly host: string
  /** At least one, at most one of each version of IP. */
  readonly addresses: readonly Address[]
  readonly tag: Buffer
  readonly key: PkdKey
  /** The UDP port; without it each knock takes a random one. */
  readonly port: number | undefined
  /** The 4 or 16 bytes of an address to ask for instead of one's own. */
  readonly onBehalfOf?: Buffer
}

/** The machine has no way to this address, or may not use it. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
}

/** Random ports stay clear of those where services listen. */
const firstRandomPort = 1024

/** What is said when a port stays closed. */
export const closedHint = 'wrong key, tag or port of the knock, or a clock that differs; the log of pkctld tells'

export function addKnockOptions(command: Command): Command {
  return command
    .option('--tag <tag>', `tag of the credential, text or 0x… (default: ${defaultTag})`)
    .option('--key-file <file>', 'file whose first line is the key')
    .option('--key-env <variable>', 'environment variable that holds the key')
    .option('-4', 'only over IPv4')
    .option('-6', 'only over IPv6')
}

/** The place of that name: of hosts.yaml, else of ipt_pkd's client, else the network's host. */
export const placeNamed = (name: string): Place => findPlace(name) ?? findIptPkdPlace(name) ?? { host: name }

/** Flags come before what the place says. `ask` gets the key where neither names one. */
export async function findTarget(
  place: Place,
  flags: KnockFlags,
  port: string | undefined,
  ask: () => Promise<string>,
): Promise<Target> {
  if (flags.keyFile !== undefined && flags.keyEnv !== undefined)
    throw usageError('--key-file and --key-env exclude each other')
  const udpPort = port === undefined ? place.port : parsePort(port)
  const tag = parseTag(flags.tag ?? place.tag ?? defaultTag)
  const addresses = await addressesOf(place, flags)
  return { host: place.host, addresses, tag, key: await findKey(flags, place, ask), port: udpPort }
}

/** Where the place is, as the flags and the place want it. */
export function addressesOf(place: Place, flags: KnockFlags): Promise<Address[]> {
  if (flags[4] && flags[6]) throw usageError('-4 and -6 exclude each other', 'leave both out to use either')
  const ofPlace = place.family === undefined ? undefined : place.family === '4' ? 4 : 6
  return resolve(place.host, flags[4] ? 4 : flags[6] ? 6 : ofPlace)
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

async function findKey(flags: KnockFlags, place: Place, ask: () => Promise<string>): Promise<PkdKey> {
  const file = flags.keyFile ?? (flags.keyEnv === undefined ? place['key-file'] : undefined)
  if (file !== undefined) return parseKey(readKeyFile(expandHome(file)))
  if (flags.keyEnv !== undefined) {
    const value = process.env[flags.keyEnv]
    if (value === undefined) throw usageError(`the environment has no variable ${flags.keyEnv}`)
    return parseKey(value)
  }
  return parseKey(place.key ?? (await ask()))
}

function readKeyFile(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  } catch (error) {
    throw new CliError(`the key file ${file} cannot be read: ${(error as Error).message}`)
  }
}

/** Sends one knock, never the same twice, and resolves to the UDP port that it went to. Fails with `NotSent`. */
export function knockAt({ address, family }: Address, target: Target): Promise<number> {
  const port = target.port ?? randomInt(firstRandomPort, 65_536)
  const fields = { tag: target.tag, time: Math.floor(Date.now() / 1000), random: randomBytes(12) }
  return new Promise((done, fail) => {
    const notSent = (error: Error) => fail(new NotSent(`no knock could be sent to ${address}: ${error.message}`))
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6')
    socket.on('error', notSent)
    const payload = target.onBehalfOf
      ? encodeObo(fields, target.onBehalfOf, port, target.key)
      : encodePkd(fields, port, target.key)
    socket.send(payload, port, address, error => {
      socket.close()
      if (error) notSent(error)
      else done(port)
    })
  })
}

/** Why a connection to the address did not come about, in a person's words. */
export const reasonFor = ({ address }: Address, { code, message }: NodeJS.ErrnoException): string =>
  code === 'ECONNREFUSED' ? `${address} refuses` : message

export const noAnswer = ({ address }: Address): string => `no answer from ${address}`

export const millisecondsSince = (start: bigint): string =>
  `${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(1)} ms`

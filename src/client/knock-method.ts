/**
 * The ways to knock at a server: a PKD packet, pkctl's own packet, ports of the command line, or the sequences of its host
 * entry.
 */
import { randomBytes, randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { knockFormats } from '../config/credentials/credential-types.js'
import type { PkdSecret, Step, SymmetricSecret } from '../knock/index.js'
import {
  defaultTag,
  formatStep,
  parseIdentity,
  parseKey,
  parseStep,
  parseSymmetricKey,
  parseTag,
  rotatingSteps,
  startOfHour,
} from '../knock/index.js'
import { addressBytes, parseAddress, parsePort } from '../net/index.js'
import { expandHome, usageError, UserError } from '../util/index.js'
import type { HostEntry, PkdHostEntry, RotatingHostEntry, SymmetricHostEntry } from './host-entry.js'
import type { FamilyFlags, KnockFlags } from './knock-flags.js'
import { knockSteps, parseMilliseconds } from './send-sequence.js'
import type { Address } from './send.js'
import { resolve, sendDatagram } from './send.js'

/** How to knock at a server, and where. */
export interface KnockMethod {
  readonly host: string
  /** At least one, at most one of each version of IP. */
  readonly addresses: readonly Address[]
  /**
   * Whether a knock is several packets, which other packets to the server may not come between: a new connection in the
   * middle of a sequence makes it begin anew.
   */
  readonly isSequence: boolean
  /**
   * Knocks, as it is right at this moment: a PKD knock never twice the same, a rotating sequence by the hour. Resolves
   * to the ports, in words. Fails with `NotSent`, or in mid-sequence with the signal's reason.
   */
  readonly send: (address: Address, signal?: AbortSignal) => Promise<string>
}

/** Random ports stay clear of those where services listen. */
const firstRandomPort = 1024

const defaultDelayMs = 20

/**
 * How to open: at `ports` where there are any, else as the place says. Flags come before what the place says. `ask`
 * gets the key of a PKD knock where neither names one.
 */
export async function openMethod(
  place: HostEntry,
  flags: KnockFlags,
  ask: () => Promise<string>,
  ports: readonly string[] = [],
): Promise<KnockMethod> {
  if (ports.length > 0) {
    const steps = ports.map(port => readStep(flags.udp && !port.includes(':') ? `${port}:udp` : port))
    return bySteps(place, flags, () => steps)
  }
  if (flags.udp) throw usageError('--udp is about ports of the command line, and there are none')
  switch (place.type) {
    case 'pkd':
      return byPkd(place, flags, ask)
    case 'symmetric':
      return bySymmetric(place, flags, ask)
    case 'sequence':
      return bySteps(place, flags, () => place.sequence)
    case 'rotating':
      return bySteps(place, flags, rotating(place, 'open'))
  }
}

/** How to close; undefined where the place has nothing that closes. */
export async function closeMethod(
  place: HostEntry,
  flags: KnockFlags,
  ask: () => Promise<string>,
): Promise<KnockMethod | undefined> {
  if (place.close) return openMethod(place.close, flags, ask)
  if (place.type === 'sequence') {
    const { 'close-sequence': steps } = place
    return steps && bySteps(place, flags, () => steps)
  }
  if (
    place.type === 'pkd' ||
    place.type === 'symmetric' ||
    (place['close-secret'] ?? place['close-secret-file']) === undefined
  )
    return undefined
  return bySteps(place, flags, rotating(place, 'close'))
}

async function byPkd(place: PkdHostEntry, flags: KnockFlags, ask: () => Promise<string>): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a PKD knock')
  const tag = parseTag(flags.tag ?? place.tag ?? defaultTag)
  const asked = flags.onBehalfOf === undefined ? {} : { address: bytesOf(flags.onBehalfOf) }
  const addresses = await addressesOf(place, flags)
  const secret: PkdSecret = { tag, key: await findKey(flags, place, ask, parseKey) }
  return byPacket(place, flags, addresses, request => knockFormats.encode('pkd', { ...request, ...asked }, secret))
}

async function bySymmetric(
  place: SymmetricHostEntry,
  flags: KnockFlags,
  ask: () => Promise<string>,
): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a symmetric knock')
  if ((flags.tag ?? flags.onBehalfOf) !== undefined)
    throw usageError('a symmetric knock has no --tag or --on-behalf-of', 'they are for PKD knocks')
  const identity = parseIdentity(place.identity)
  if (!identity) throw new UserError('the identity of the host entry is not one', "'pkctl keygen --server' prints it")
  const addresses = await addressesOf(place, flags)
  const secret: SymmetricSecret = { identity, key: await findKey(flags, place, ask, parseSymmetricKey) }
  return byPacket(place, flags, addresses, request => knockFormats.encode('symmetric', request, secret))
}

function checkPacketFlags(flags: KnockFlags, what: string): void {
  if ((flags.delay ?? flags.answerTime) !== undefined) {
    throw usageError(`${what} is one packet, and has no --delay or --answer-time`, 'they are for sequences')
  }
  if (flags.keyFile !== undefined && flags.keyEnv !== undefined)
    throw usageError('--key-file and --key-env exclude each other')
}

interface PacketRequest {
  readonly port: number
  /** Unix seconds, with their fraction. */
  readonly time: number
  readonly random: (size: number) => Buffer
}

function byPacket(
  place: PkdHostEntry | SymmetricHostEntry,
  flags: KnockFlags,
  addresses: readonly Address[],
  encode: (request: PacketRequest) => Buffer,
): KnockMethod {
  const givenPort = flags.port === undefined ? place.port : parsePort(flags.port)
  return {
    host: place.host,
    addresses,
    isSequence: false,
    async send(address) {
      const port = givenPort ?? randomInt(firstRandomPort, 65_536)
      await sendDatagram(address, port, encode({ port, time: Date.now() / 1000, random: randomBytes }))
      return `port ${port}/udp`
    },
  }
}

/** Of an address in text. */
const bytesOf = (text: string) => Buffer.from(addressBytes(parseAddress(text).address), 'latin1')

async function bySteps(place: HostEntry, flags: KnockFlags, current: () => readonly Step[]): Promise<KnockMethod> {
  if ((flags.tag ?? flags.keyFile ?? flags.keyEnv ?? flags.port ?? flags.onBehalfOf) !== undefined)
    throw usageError('a sequence has no tag, key or port of a knock, and no --on-behalf-of', 'they are for PKD knocks')
  const pauseMs = flags.delay === undefined ? (place.delay ?? defaultDelayMs) : parseMilliseconds(flags.delay)
  const answerMs = parseMilliseconds(flags.answerTime ?? '0')
  return {
    host: place.host,
    addresses: await addressesOf(place, flags),
    isSequence: true,
    async send(address, signal) {
      const steps = current()
      await knockSteps(address, steps, { pauseMs, answerMs }, signal)
      return `ports ${steps.map(formatStep).join(' ')}`
    },
  }
}

/** Reads the secret now; the sequence is that of the hour in which it is asked for. */
function rotating(place: RotatingHostEntry, what: 'open' | 'close'): () => Step[] {
  const secret = place[`${what}-secret`] ?? readSecret(place[`${what}-secret-file`] ?? '')
  const rotation = { ...place.range, secret, digest: place.digest }
  return () => rotatingSteps(rotation, startOfHour(Date.now() / 1000, place.hour))
}

function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw usageError((error as Error).message)
  }
}

/** Where the place is, as the flags and the place want it. */
function addressesOf(place: HostEntry, flags: FamilyFlags): Promise<Address[]> {
  if (flags[4] && flags[6]) throw usageError('-4 and -6 exclude each other', 'leave both out to use either')
  const ofPlace = place.family === undefined ? undefined : place.family === '4' ? 4 : 6
  return resolve(place.host, flags[4] ? 4 : flags[6] ? 6 : ofPlace)
}

async function findKey<K>(
  flags: KnockFlags,
  place: PkdHostEntry | SymmetricHostEntry,
  ask: () => Promise<string>,
  parse: (text: string) => K,
): Promise<K> {
  const file = flags.keyFile ?? (flags.keyEnv === undefined ? place['key-file'] : undefined)
  if (file !== undefined) return parse(readFirstLine(file, 'key'))
  if (flags.keyEnv !== undefined) {
    const value = process.env[flags.keyEnv]
    // In place of the name, the key itself may have been given.
    const name = /^[A-Z_][A-Z0-9_]{0,40}$/.test(flags.keyEnv) ? ` ${flags.keyEnv}` : ' of the name that --key-env gives'
    if (value === undefined) throw usageError(`the environment has no variable${name}`)
    return parse(value)
  }
  return parse(place.key ?? (await ask()))
}

function readSecret(file: string): string {
  const secret = readFirstLine(file, 'secret')
  if (secret === '') throw new UserError(`the secret file ${file} has an empty first line, where the secret should be`)
  return secret
}

function readFirstLine(file: string, what: string): string {
  try {
    return fs.readFileSync(expandHome(file), 'utf8').split('\n')[0]?.replace(/\r$/, '') ?? ''
  } catch (error) {
    throw new UserError(`the ${what} file ${file} cannot be read: ${(error as Error).message}`)
  }
}

/**
 * The ways to knock at a server: a PKD packet, pkctl's own packet with a symmetric key or signed with an SSH key, ports of
 * the command line, or the sequences of its host entry.
 */
import { randomBytes, randomInt } from 'node:crypto'
import * as fs from 'node:fs'
import { isIP } from 'node:net'
import { knockFormats } from '../config/credentials/credential-types.js'
import type { PkdSecret, Step, SymmetricSecret } from '../knock/index.js'
import {
  defaultTag,
  formatStep,
  parsePkdKey,
  parseStep,
  parseSymmetricKey,
  parseTag,
  rotatingSteps,
  sealSymmetric,
  startOfHour,
} from '../knock/index.js'
import { parsePort } from '../net/index.js'
import { execute, expandHome, usageError, UserError } from '../util/index.js'
import { findSource } from './find-source.js'
import type { HostEntry, PkdHostEntry, RotatingHostEntry, SshHostEntry, SymmetricHostEntry } from './host-entry.js'
import type { KnockFlags, AddressFlags } from './knock-flags.js'
import { knockSteps, parseMilliseconds } from './send-sequence.js'
import type { Address } from './send.js'
import { resolve, sendDatagram } from './send.js'
import { parseHostIdentity, readWishes, SignedKnocks } from './make-signed-knock.js'
import { bytesOf } from './wishes.js'

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
   * to the ports, in words. Fails with `NotSent`, with a UserError when the knock cannot be signed, or in mid-sequence
   * with the signal's reason.
   */
  readonly send: (address: Address, signal?: AbortSignal) => Promise<string>
}

/** Who knocks: asked for what is needed, and told what is of note. */
export interface Caller {
  /** How the server was named. */
  readonly name: string
  /** Asks for a key. */
  readonly secret: () => Promise<string>
  /** Asks to do something, one line. */
  readonly ask: (line: string) => void
  readonly warn: (line: string) => void
}

/** Random ports stay clear of those where services listen. */
const firstRandomPort = 1024

const defaultDelayMs = 20

/**
 * How to open: at `ports` where there are any, else as the place says. Flags come before what the place says. The caller
 * is asked for the key of a PKD knock where neither names one.
 */
export async function openMethod(
  entry: HostEntry,
  flags: KnockFlags,
  caller: Caller,
  ports: readonly string[] = [],
): Promise<KnockMethod> {
  if (ports.length > 0) {
    const steps = ports.map(port => readStep(flags.udp && !port.includes(':') ? `${port}:udp` : port))
    return bySteps(entry, flags, () => steps)
  }
  if (flags.udp) throw usageError('--udp is about ports of the command line, and there are none')
  const place = withFlags(entry, flags)
  switch (place.type) {
    case 'pkd':
      return byPkd(place, flags, caller)
    case 'symmetric':
      return bySymmetric(place, flags, caller)
    case 'ssh':
      return bySsh(place, flags, caller)
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
  caller: Caller,
): Promise<KnockMethod | undefined> {
  if (place.close) return openMethod(place.close, flags, caller)
  switch (place.type) {
    case 'pkd':
    case 'symmetric':
    case 'ssh':
      return undefined
    case 'sequence': {
      const { 'close-sequence': steps } = place
      return steps && bySteps(place, flags, () => steps)
    }
    case 'rotating': {
      const hasSecret = (place['close-secret'] ?? place['close-secret-file']) !== undefined
      return hasSecret ? bySteps(place, flags, rotating(place, 'close')) : undefined
    }
  }
}

/** How to revoke the grant by the same key that opens; undefined for knocks that cannot ask for it. */
export async function revokeMethod(
  entry: HostEntry,
  flags: KnockFlags,
  caller: Caller,
): Promise<KnockMethod | undefined> {
  const place = withFlags(entry, flags)
  if (place.type === 'symmetric') return bySymmetric(place, flags, caller, true)
  return place.type === 'ssh' ? bySsh(place, flags, caller, true) : undefined
}

/** The place with what the flags say of the kind of knock: an identity, and the kind of key that belongs to it. */
function withFlags(place: HostEntry, flags: KnockFlags): HostEntry {
  const { sshKey } = flags
  const hasSecret = (flags.keyFile ?? flags.keyEnv) !== undefined
  if (sshKey !== undefined && hasSecret)
    throw usageError('--ssh-key excludes --key-file and --key-env', 'a knock is made with one key')
  if (place.type === 'sequence' || place.type === 'rotating') return place
  const { host, family, port, connect, delay } = place
  const common = { host, family, port, connect, delay }
  const identity = flags.identity ?? (place.type === 'pkd' ? undefined : place.identity)
  if (identity === undefined) return place
  if (place.type === 'pkd' && (place.tag ?? place.key ?? place['key-file']) !== undefined)
    throw usageError('the host entry is for PKD knocks, which take no --identity')
  if (hasSecret) return { ...common, type: 'symmetric', identity }
  if (place.type === 'symmetric' && sshKey === undefined) return { ...place, identity }
  const own = place.type === 'ssh' ? place : common
  return { ...own, type: 'ssh', identity, ...(sshKey !== undefined && { 'ssh-key': sshKey }) }
}

async function byPkd(place: PkdHostEntry, flags: KnockFlags, caller: Caller): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a PKD knock')
  checkNotSigned(flags, 'a PKD knock')
  const tag = parseTag(flags.tag ?? place.tag ?? defaultTag)
  const asked = flags.onBehalfOf === undefined ? {} : { address: bytesOf(flags.onBehalfOf) }
  const addresses = await addressesOf(place, flags)
  const secret: PkdSecret = { tag, key: await findKey(flags, place, caller, parsePkdKey) }
  return byPacket(place, flags, addresses, request => knockFormats.encode('pkd', { ...request, ...asked }, secret))
}

async function bySymmetric(
  place: SymmetricHostEntry,
  flags: KnockFlags,
  caller: Caller,
  close = false,
): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a symmetric knock')
  if (flags.tag !== undefined) throw usageError('a symmetric knock has no --tag', 'it is for PKD knocks')
  if ((flags.sshKey ?? flags.prefix) !== undefined)
    throw usageError('a symmetric knock has no --ssh-key or --prefix', 'they are for knocks that an SSH key signs')
  const wishes = readWishes(flags, flags.onBehalfOf === undefined ? null : bytesOf(flags.onBehalfOf), close)
  const identity = parseHostIdentity(place.identity)
  const addresses = await addressesOf(place, flags)
  const secret: SymmetricSecret = { identity, key: await findKey(flags, place, caller, parseSymmetricKey) }
  return byPacket(place, flags, addresses, ({ port, time, random }) => {
    const packet = sealSymmetric({ ...wishes, time: BigInt(Math.floor(time * 1000)) }, port, random(16), secret)
    if (packet) return packet
    throw new UserError(`the names of ${wishes.services.length} services do not fit into one knock`, 'knock twice')
  })
}

async function bySsh(
  named: SshHostEntry,
  flags: KnockFlags,
  { name, warn, ask }: Caller,
  close = false,
): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a signed knock')
  if (flags.tag !== undefined) throw usageError('a signed knock has no --tag', 'it is for PKD knocks')
  const identity = parseHostIdentity(named.identity)
  const wishes = readWishes(flags, flags.onBehalfOf === undefined ? null : bytesOf(flags.onBehalfOf), close, named)
  // Other knocks do without them.
  const { findSigner } = await import('./openssh/find-signer.js')
  const { readSshConfig } = await import('./openssh/ssh-config.js')
  // Without a host entry, a name is what it is to ssh.
  const isAlias = named.host === name && isIP(name) === 0
  const place = isAlias ? { ...named, host: (await readSshConfig(name, execute)).hostName } : named
  const addresses = await addressesOf(place, flags)
  const wanted = {
    host: name,
    otherName: place.host,
    identityFile: place['ssh-key'],
    certificateFile: place.certificate,
    identityAgent: place['identity-agent'],
  }
  const signer = await findSigner(wanted, { execute, now: Date.now() / 1000, say: warn, ask })
  const knocks = new SignedKnocks(identity, wishes, signer, warn)
  const choosePort = portChooser(place, flags)
  return {
    host: place.host,
    addresses,
    isSequence: false,
    async send(address) {
      const { bytes, port } = await knocks.make(address.address, choosePort)
      await sendDatagram(address, port, bytes)
      return `port ${port}/udp`
    },
  }
}

/** Only pkctl's own knocks ask for something. */
function checkNotSigned({ sshKey, service, window, prefix, also }: KnockFlags, what: string): void {
  if ((sshKey ?? service ?? window ?? prefix ?? also) !== undefined)
    throw usageError(
      `${what} has no --ssh-key, --service, --window, --prefix or --also`,
      'they are for knocks that an SSH key signs: with --identity, or an identity in the host entry, and no other key',
    )
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
  const choosePort = portChooser(place, flags)
  return {
    host: place.host,
    addresses,
    isSequence: false,
    async send(address) {
      const port = choosePort()
      await sendDatagram(address, port, encode({ port, time: Date.now() / 1000, random: randomBytes }))
      return `port ${port}/udp`
    },
  }
}

/** Gives the port of each knock. */
function portChooser(place: { readonly port?: number | undefined }, flags: KnockFlags): () => number {
  const given = flags.port === undefined ? place.port : parsePort(flags.port)
  return () => given ?? randomInt(firstRandomPort, 65_536)
}

async function bySteps(place: HostEntry, flags: KnockFlags, current: () => readonly Step[]): Promise<KnockMethod> {
  if ((flags.tag ?? flags.keyFile ?? flags.keyEnv ?? flags.port ?? flags.onBehalfOf) !== undefined)
    throw usageError('a sequence has no tag, key or port of a knock, and no --on-behalf-of', 'they are for PKD knocks')
  if (flags.identity !== undefined) throw usageError('a sequence has no --identity', "it is for pkctl's own knock")
  checkNotSigned(flags, 'a sequence')
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
async function addressesOf(place: HostEntry, flags: AddressFlags): Promise<Address[]> {
  if (flags[4] && flags[6]) throw usageError('-4 and -6 exclude each other', 'leave both out to use either')
  const ofPlace = place.family === undefined ? undefined : place.family === '4' ? 4 : 6
  const family = flags[4] ? 4 : flags[6] ? 6 : ofPlace
  const sourceOf = flags.source === undefined ? undefined : findSource(flags.source, family)
  const found = await resolve(place.host, family)
  if (!sourceOf) return found
  const reachable = found.flatMap(address => {
    const source = sourceOf(address.family)
    return source === undefined ? [] : [{ ...address, source }]
  })
  if (reachable.length > 0) return reachable
  const versions = found.map(each => `IPv${each.family}`).join(' and ')
  throw new UserError(`${flags.source} has no address for ${versions}, which ${place.host} has`)
}

async function findKey<K>(
  flags: KnockFlags,
  place: PkdHostEntry | SymmetricHostEntry,
  caller: Caller,
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
  return parse(place.key ?? (await caller.secret()))
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

/**
 * Knocks that an SSH key signs. The key is found before the first knock; each knock is signed when it is sent, because
 * its time, its port and its random bytes are part of what is signed.
 */
import { randomBytes } from 'node:crypto'
import { namePattern, nameRule } from '../config/values.js'
import type { KnockRequestBody } from '../knock/index.js'
import { draftSigned, parseIdentity, plainRequest } from '../knock/index.js'
import { parseDuration, usageError, UserError } from '../util/index.js'
import type { SshHostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { SigningKey } from './openssh/signing-key.js'
import { isIpv4Prefix, parseOther, parsePrefixLength } from './wishes.js'

/** The server's identity in bytes. Throws a UserError. */
export function parseHostIdentity(text: string): Buffer {
  const identity = parseIdentity(text)
  if (identity) return identity
  throw new UserError('the identity of the host entry is not one', "'pkctl keygen --server' prints it")
}

/** What a knock asks for, but for its time. */
type SignedWishes = Omit<KnockRequestBody, 'time'>

const maxWindow = 2 ** 32 - 1

/** Throws a UserError for wishes that no packet can carry. `host`: 4 or 16 bytes, to be granted instead of the source. */
export function readWishes(
  { service = [], window, prefix, also }: KnockFlags,
  host: Buffer | null,
  close: boolean,
  entry: Pick<SshHostEntry, 'prefix' | 'also'> = {},
): SignedWishes {
  const wrong = service.find(name => !namePattern.test(name))
  if (wrong !== undefined) throw usageError(`'${wrong}' cannot be the name of a service`, `use ${nameRule}`)
  for (const [flag, value] of Object.entries({ window, prefix, also }))
    if (close && value !== undefined) throw usageError(`--close and --${flag} exclude each other`)
  const seconds = window === undefined ? null : parseDuration(window)
  if (seconds !== null && (seconds < 1 || seconds > maxWindow))
    throw usageError(`--window takes a time from 1s to 49710d, not '${window}'`)
  const { time: _, ...plain } = plainRequest(0n)
  const more = close
    ? {}
    : {
        prefix: (prefix === undefined ? entry.prefix : parsePrefixLength(prefix)) ?? null,
        other: (also === undefined ? entry.also : parseOther(also)) ?? null,
      }
  return { ...plain, close, host, window: seconds, services: [...new Set(service)].sort(), ...more }
}

/** The skew of servers where their configuration names none: what is older may be refused. */
const usualSkewMilliseconds = 10_000

interface SignedPacket {
  readonly bytes: Buffer
  readonly port: number
}

/** The packets for one server. */
export class SignedKnocks {
  /** The last packet for each address, where a person was asked for it, and its time. */
  readonly #made = new Map<string, { readonly packet: SignedPacket; readonly time: number }>()
  #turn: Promise<unknown> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined

  /** Throws a UserError where no packet holds it all: before a person is asked to sign. */
  constructor(
    readonly identity: Buffer,
    readonly wishes: SignedWishes,
    readonly signer: SigningKey,
    readonly warn: (line: string) => void,
  ) {
    this.#draft(0, 0)
  }

  /**
   * A packet for the address, to the port that `choosePort` gives. A person is asked one thing at a time, and not again
   * after a failure. Rejects with a UserError.
   */
  make(address: string, choosePort: () => number): Promise<SignedPacket> {
    const made = this.#turn.then(() => this.#makeNow(address, choosePort))
    this.#turn = made.catch(() => undefined)
    return made
  }

  async #makeNow(address: string, choosePort: () => number): Promise<SignedPacket> {
    if (this.#failure) throw this.#failure.error
    const last = this.#made.get(address)
    // A copy does what another knock would where the first was lost; where it was not, the server refuses the copy.
    if (last && Date.now() - last.time < usualSkewMilliseconds) return last.packet
    const [time, port] = [Date.now(), choosePort()]
    const draft = this.#draft(time, port, address)
    const { signature, statement } = await this.#sign(draft.message)
    const packet = { bytes: draft.seal(signature, statement?.flags, statement?.counter), port }
    if (this.signer.asksPerson) this.#made.set(address, { packet, time })
    const age = Date.now() - time
    if (age >= usualSkewMilliseconds) {
      const seconds = Math.round(age / 1000)
      this.warn(
        `signing has taken ${seconds} s, and a server refuses a knock that is older than its skew (mostly 10 s)`,
      )
    }
    return packet
  }

  async #sign(message: Buffer) {
    try {
      return await this.signer.sign(message)
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  #draft(time: number, port: number, address = '') {
    const { key, certificate } = this.signer
    const signer = certificate ? { certificate: certificate.blob } : { fingerprint: key.fingerprint }
    const { prefix } = this.wishes
    // A host with addresses of both versions is knocked at by both, and the prefix is one of the source.
    const isOfVersion = prefix === null || isIpv4Prefix(prefix) !== address.includes(':')
    const wishes = { ...this.wishes, prefix: isOfVersion ? prefix : null, time: BigInt(time) }
    const draft = draftSigned(wishes, signer, this.identity, port, randomBytes)
    if (draft) return draft
    const { services } = this.wishes
    if (draftSigned(plainRequest(0n), signer, this.identity, port, randomBytes)) {
      throw new UserError(`the names of ${services.length} services do not fit into one knock`, 'knock twice')
    }
    if (!certificate) throw new UserError('no knock can be made for the identity of the server')
    throw new UserError(
      `the certificate '${certificate.keyId}' of ${certificate.blob.length} bytes does not fit into a knock`,
      'it takes 798 bytes; ssh-keygen -O clear leaves out what a knock does not need',
    )
  }
}

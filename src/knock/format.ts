/**
 * What every single-packet knock format has: one UDP datagram, mostly of a fixed length, checked against the secret of a
 * credential. Each format is one file beside this one, and is listed with its type of credential in
 * src/config/credentials/credential-types.ts.
 *
 * The packet worker calls `verify` for each packet that the kernel lets through, most of them forged: a format
 * allocates as little as possible for a packet that it refuses, and never throws, whatever the bytes are. It compares a
 * MAC or hash in constant time: how long a refusal takes must not show how many bytes are right.
 *
 * Sequences of several packets are another kind of knock: sequence-tracker.ts.
 */

/** An address asked for. */
export interface Requested {
  readonly version: 4 | 6
  /** For IPv6 all eight groups, none left out. */
  readonly address: string
}

/** A port that a packet asks for by its number. */
export interface AskedPort {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** What a packet asks for where its credential grants more. */
export interface Asked {
  /** Each must be one that the credential opens. */
  readonly ports: readonly AskedPort[]
  /** How long; the credential's own time where it is missing. */
  readonly seconds?: number
}

/** What a packet wishes for, of what its credential grants or may be asked for. */
export interface Wishes {
  /** The grant is to be revoked. */
  readonly close: boolean
  /** Seconds. */
  readonly window: number | null
  /** Bits of the source. */
  readonly prefix: number | null
  /** To be granted as well. */
  readonly other: Requested | null
  /** To be granted instead of the source. */
  readonly host: Requested | null
  /** Names of services; none = all that the credential opens. */
  readonly services: readonly string[]
}

/** Why a packet is refused although it was made with the secret. */
export const formatRefusals = [
  'bad-message',
  'command-refused',
  'nat-refused',
  'wrong-user',
  'source-not-named',
] as const
type FormatRefusal = (typeof formatRefusals)[number]

/** What a verified packet says. */
export interface VerifiedKnock {
  /** When it was made, in Unix seconds. */
  readonly time: number
  /**
   * The offset, in the packet's buffer, of 16 bytes by which replays of this knock are recognised. Two knocks must not
   * have the same, and no sender without the secret can choose them.
   */
  readonly digestAt: number
  /**
   * The address that is to be granted instead of the source: undefined where the format has none, null where the packet
   * has one that cannot be granted.
   */
  readonly requested?: Requested | null
  /** The address that its sender says to have. Where the packet has another source, it asks on behalf of that address. */
  readonly sender?: Requested
  /** Undefined where it asks for all that its credential grants. */
  readonly asks?: Asked
  /** Undefined for a format without wishes, or where it has none. */
  readonly wishes?: Wishes
  readonly refused?: FormatRefusal | undefined
  /** When its secret stops to count, in Unix seconds. */
  readonly until?: number
}

/** What a packet is encoded from. */
export interface KnockRequest {
  /** The UDP port that it is sent to. */
  readonly port: number
  /** Unix seconds; a format that has no fractions of them leaves those out. */
  readonly time: number
  /** That many random bytes, new ones on each call. */
  readonly random: (size: number) => Buffer
  /** 4 or 16 bytes, for a format that carries an address. */
  readonly address?: Buffer
  /** For a format whose packets say what they ask for. */
  readonly asks?: Asked & {
    readonly address?: string | undefined
    readonly user?: string
    /** Of the packet's own kinds of digests. */
    readonly digest?: string
  }
}

/** How packets are known that have several lengths, and no first word in common. */
interface Varied<S> {
  /** Bytes of UDP payload. */
  lengths(secret: S): readonly number[]
  /** What the first byte can be, in ascending order. */
  readonly firstBytes: readonly number[]
}

/**
 * How packets begin that tell no one whose they are: with words that the server's identity and the time give, the same
 * for all of its users. A hint in the packet says which of their secrets it was made with.
 */
export interface PacketRotation<S = unknown> {
  /** How long a period is. Those before and after the current one count as well. */
  readonly periodSeconds: number
  /** Bytes 4 to 7, as the first word. */
  secondWord(secret: S, time: number): number
  /** The hint in a packet whose first words are those of this secret. */
  hintIn(bytes: Buffer, at: number, secret: S): string
  /** The hint in packets that are made with this secret. */
  hintOf(secret: S, time: number): string
}

/** A format whose packets are checked against a secret `S`. */
export interface KnockFormat<S = unknown> {
  /** Names the format and its file of test vectors; no two formats have the same. */
  readonly id: string
  /** Bytes of UDP payload in each packet, or in the longest one. */
  readonly payloadLength: number
  /** For packets of several lengths; its first word means nothing then. */
  readonly varied?: Varied<S>
  /** Whether a packet is as good at every port, because it does not say which one it was sent to. */
  readonly isForAnyPort?: boolean
  /** Whether its packets ask for an address; the kernel passes them on only for credentials that may ask for one. */
  readonly carriesAddress: boolean
  /**
   * Takes the secret out of a credential of the configuration, or out of a secret that was posted from another thread,
   * which has plain arrays in place of buffers. The same for all formats of one type of credential.
   */
  secretOf(source: S): S
  /**
   * Bytes that tell this secret from all others, those of other types of credential included. The replay journal finds a
   * credential by them, so they must stay the same in later releases.
   */
  identityOf(secret: S): Buffer
  /**
   * The first four bytes of each packet, as a big-endian number: the kernel drops packets that begin otherwise. `time`, in
   * Unix seconds, matters only to formats with a rotation.
   */
  firstWord(secret: S, time: number): number
  /** For a format whose packets begin otherwise in each period of time. No two of them have packets of one length. */
  readonly rotation?: PacketRotation<S>
  /**
   * Checks the `length` bytes at `at`, which begin with the secret's first word (at a time that
   * counts) and were sent to `port`. Undefined
   * when they were not made with this secret. The verifier checks the time, and whether the knock is new.
   */
  verify(bytes: Buffer, at: number, port: number, secret: S, length: number): VerifiedKnock | undefined
  encode(request: KnockRequest, secret: S): Buffer
}

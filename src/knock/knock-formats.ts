/** Knock formats by the type of credential whose secret they use, and what the kernel and the verifier ask of them. */
import type { KnockFormat, KnockRequest } from './format.js'
import type { SignedFormat, SignedSecret } from './pk1/signed-format.js'

/** A type of credential, and the formats of its packets; none for credentials that are knocked by sequences. */
interface FormatsOfType {
  readonly type: string
  readonly formats: readonly KnockFormat[]
  /** In place of `formats`, for packets that a key signs which is not part of the credential. */
  readonly signed?: SignedFormat
}

/** What the kernel needs to know of a credential; the secret is in it or is part of its fields. */
interface ShapedCredential {
  readonly type: string
  /** UDP port that knocks must be sent to; null for every port. */
  readonly port: number | null
  /** Prefixes in which an address may be asked for; empty when none may. */
  readonly onBehalfOf: readonly string[]
}

/** Which datagrams the kernel passes on: UDP, of one length, beginning with this word. */
interface FixedShape {
  /** The UDP header's length field: payload and 8. */
  readonly udpLength: number
  /** The first four bytes of the payload, as a big-endian number. */
  readonly firstWord: number
  /** The next four, for a format whose first words change with time; they match in this period and its neighbours. */
  readonly secondWord?: number
  /** Destination port; null for every port. */
  readonly port: number | null
}

/** The same for packets of several lengths, which have only their first byte in common. */
interface VariedShape {
  readonly udpLengths: readonly number[]
  readonly firstBytes: readonly number[]
  readonly port: number | null
}

type PacketShape = FixedShape | VariedShape

const udpHeaderLength = 8

/** The start of the period of this time, and of those before and after it; Unix seconds. */
function periodsAround(time: number, periodSeconds: number): number[] {
  const start = time - (time % periodSeconds)
  return [start - periodSeconds, start, start + periodSeconds].filter(each => each >= 0)
}

function signedShapes(format: SignedFormat, credential: ShapedCredential, time: number): FixedShape[] {
  const secret = format.secretOf(credential as ShapedCredential & SignedSecret)
  return periodsAround(time, format.periodSeconds).flatMap(start => {
    const [firstWord, secondWord] = format.wordsOf(secret, start)
    const { port } = credential
    return format.lengths.map(length => ({ udpLength: length + udpHeaderLength, firstWord, secondWord, port }))
  })
}

/** The verifier looks up packets without a first word of their own by their length alone. */
function refuseSharedLengths(types: readonly FormatsOfType[]): void {
  const taken = new Map<number, string>()
  for (const { type, signed } of types) for (const length of signed?.lengths ?? []) taken.set(length, type)
  for (const { id, payloadLength, rotation } of types.flatMap(({ formats }) => formats)) {
    if (!rotation) continue
    const other = taken.get(payloadLength)
    if (other !== undefined)
      throw new Error(
        `${other} and ${id} both have packets of ${payloadLength} bytes whose first words change with time`,
      )
    taken.set(payloadLength, id)
  }
}

export class KnockFormats {
  readonly #byType: ReadonlyMap<string, readonly KnockFormat[]>
  readonly #signed: ReadonlyMap<string, SignedFormat>
  readonly all: readonly KnockFormat[]

  /** Throws where two formats whose first words change with time have packets of one length. */
  constructor(types: readonly FormatsOfType[]) {
    refuseSharedLengths(types)
    this.#byType = new Map(types.map(({ type, formats }) => [type, formats]))
    this.#signed = new Map(types.flatMap(({ type, signed }) => (signed ? [[type, signed]] : [])))
    this.all = types.flatMap(({ formats }) => formats)
  }

  /** The format of packets that a key signs, for credentials of this type; undefined where theirs are others. */
  signedOf(type: string): SignedFormat | undefined {
    return this.#signed.get(type)
  }

  /** Whether credentials of this type are knocked by one packet. */
  isOfPackets(type: string): boolean {
    return this.of(type).length > 0 || this.#signed.has(type)
  }

  /** The formats for credentials of this type, none where they are knocked by sequences. */
  of(type: string): readonly KnockFormat[] {
    return this.#byType.get(type) ?? []
  }

  /** The shapes, at a time in Unix seconds, of the packets that a credential of the configuration is knocked by. */
  shapesOf(credential: ShapedCredential, time: number): PacketShape[] {
    const { type, port, onBehalfOf } = credential
    const signed = this.#signed.get(type)
    if (signed) return signedShapes(signed, credential, time)
    return this.of(type)
      .filter(({ carriesAddress }) => !carriesAddress || onBehalfOf.length > 0)
      .flatMap((format): PacketShape[] => {
        const { rotation, varied } = format
        if (varied) {
          const udpLengths = varied.lengths(credential).map(length => length + udpHeaderLength)
          return [{ udpLengths, firstBytes: varied.firstBytes, port }]
        }
        const udpLength = format.payloadLength + udpHeaderLength
        if (!rotation) return [{ udpLength, firstWord: format.firstWord(credential, time), port }]
        return periodsAround(time, rotation.periodSeconds).map(start => {
          const [firstWord, secondWord] = [format.firstWord(credential, start), rotation.secondWord(credential, start)]
          return { udpLength, firstWord, secondWord, port }
        })
      })
  }

  /**
   * The UDP header's length field of the packets for credentials of this type that begin with a tag, also of those that a
   * credential does not take.
   */
  taggedLengthsOf(type: string): number[] {
    return this.of(type)
      .filter(({ rotation, varied }) => !rotation && !varied)
      .map(({ payloadLength }) => payloadLength + udpHeaderLength)
  }

  /** The secret of a credential as plain values, and what the replay journal finds it by. */
  secretOf(credential: { readonly type: string }): { readonly secret: unknown; readonly identity: Buffer } {
    const format: Pick<KnockFormat, 'secretOf' | 'identityOf'> =
      (this.#signed.get(credential.type) as KnockFormat | undefined) ?? this.#first(credential.type)
    const secret = format.secretOf(credential)
    return { secret, identity: format.identityOf(secret) }
  }

  /** A packet for a credential of this type, in the format that carries an address where one is asked for. */
  encode(type: string, request: KnockRequest, secret: unknown): Buffer {
    const withAddress = request.address !== undefined
    const format = this.of(type).find(({ carriesAddress }) => carriesAddress === withAddress)
    if (!format) throw new Error(`no format for credentials of type ${type} carries an address`)
    return format.encode(request, secret)
  }

  #first(type: string): KnockFormat {
    const [format] = this.of(type)
    if (!format) throw new Error(`credentials of type ${type} are not knocked by single packets`)
    return format
  }
}

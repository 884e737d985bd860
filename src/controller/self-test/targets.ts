/** Where a self-test knocks: one datagram for each port and length by which the kernel knows knocks. */
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { KnockShape } from '../../nft/index.js'
import type { ActiveCredential } from '../verify/active-credentials.js'
import { shortestPayload } from './own-datagrams.js'

export interface Target {
  readonly start: Uint8Array
  readonly payloadLength: number
  /** UDP. */
  readonly port: number
}

const loopback = 'lo'
const udpHeaderLength = 8
/** Where no credential names a port. Nothing needs to listen there. */
const anyPort = 62_201
/** More do not show more, and each is one packet a time. */
const maxTargets = 16

const wordLength = 4

function startOf(shape: KnockShape): Uint8Array {
  if (!('firstWord' in shape)) return Uint8Array.of(shape.firstBytes[0] ?? 0)
  const words = [shape.firstWord, ...(shape.secondWord === undefined ? [] : [shape.secondWord])]
  const bytes = Buffer.alloc(words.length * wordLength)
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, i * wordLength)
  return bytes
}

const lengthOf = (shape: KnockShape) =>
  ('udpLength' in shape ? shape.udpLength : Math.max(...shape.udpLengths)) - udpHeaderLength

/** Whether the kernel passes on such packets by the loopback interface. */
const isForLoopback = ({ interfaces }: Pick<KnockShape, 'interfaces'>) =>
  interfaces.length === 0 || interfaces.includes(loopback)

/**
 * A shape that only self-tests have, for configurations without one that comes by the loopback interface: knocks are
 * sequences, or must come by another interface. Else null: what knocks go through is tried by what they look like.
 */
export function ownShape(shapes: readonly KnockShape[], token: Uint8Array): KnockShape | null {
  if (shapes.some(shape => isForLoopback(shape) && lengthOf(shape) >= shortestPayload)) return null
  const firstWord = Buffer.from(token).readUInt32BE()
  return { udpLength: shortestPayload + udpHeaderLength, firstWord, port: null, interfaces: [loopback] }
}

/** `now`: Unix seconds. Empty only where nothing can be knocked. */
export function selfTestTargets(active: readonly ActiveCredential[], token: Uint8Array, now: number): Target[] {
  if (active.length === 0) return []
  const shapes = active.flatMap(({ kind, credential }): KnockShape[] => {
    if (kind !== 'packet') return []
    const { interfaces } = credential
    return knockFormats.shapesOf(credential, now).map(shape => ({ ...shape, interfaces }))
  })
  const own = ownShape(shapes, token)
  const targets = (own ? [own] : shapes)
    .filter(shape => isForLoopback(shape) && lengthOf(shape) >= shortestPayload)
    .map(shape => ({ start: startOf(shape), payloadLength: lengthOf(shape), port: shape.port ?? anyPort }))
  // Of a format that rotates, the first shape is that of the last period: the kernel has it also where it is late at a turn.
  const distinct = new Map(targets.map(target => [`${target.port} ${target.payloadLength}`, target] as const).reverse())
  return [...distinct.values()].reverse().slice(0, maxTargets)
}

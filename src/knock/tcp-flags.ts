/** The TCP flags by which the packets of a sequence's steps are known. */
import { quote } from '../util/index.js'
import { SequenceFormatError } from './secret-errors.js'

/** Which TCP packets are knocks: those whose flags, under `mask`, are `value`; bits as in the header (RFC 9293). */
export interface FlagRule {
  readonly mask: number
  readonly value: number
}

const flagBits: Readonly<Record<string, number>> = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 }

/** `syn`, or `!ack` for a flag that must not be set; those that are not named do not matter. */
export function parseFlags(flags: readonly string[]): FlagRule {
  let mask = 0
  let value = 0
  for (const flag of flags) {
    const [, not, name = ''] = /^(!?)\s*([a-z]+)$/i.exec(flag.trim()) ?? []
    const bit = flagBits[name.toLowerCase()]
    if (bit === undefined) {
      throw new SequenceFormatError(
        `expected fin, syn, rst, psh, ack or urg, or one with ! before it, got ${quote(flag)}`,
      )
    }
    if ((mask & bit) !== 0) throw new SequenceFormatError(`the flag ${name.toLowerCase()} is given twice`)
    mask |= bit
    if (not === '') value |= bit
  }
  if (mask === 0) throw new SequenceFormatError('expected at least one flag')
  return { mask, value }
}

/** The start of a connection. */
export const synRule: FlagRule = { mask: 18, value: 2 }

/** Whether the packets that clients knock with have these flags: the start of a connection, with syn alone. */
export const isSentByClients = ({ mask, value }: FlagRule): boolean => ((flagBits['syn'] as number) & mask) === value

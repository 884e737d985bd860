/**
 * What a grant by hand says of itself: the comment of its element, which the kernel keeps with it, and which outlives the
 * command and the daemon: `2030-01-31T18:00Z root (sudo by ada): on call`. One of another server of the fleet says which:
 * `2030-01-31T18:00Z fleet:web-1`.
 *
 * `nft list` prints it between quotes as it is, so it has none of what ends a string there.
 */
import { ValueError } from '../../util/index.js'

interface GrantComment {
  /** When it was made, in ISO 8601, UTC, to the minute. */
  readonly at: string
  /** Who made it. */
  readonly who: string
  /** The server of the fleet that made it; absent for a grant of this one. */
  readonly node?: string
  /** Why; absent where nothing was said. */
  readonly note?: string
}

const fleetName = 'fleet'

/** NFTNL_UDATA_COMMENT_MAXLEN of libnftnl is 128 bytes, with the zero at the end. */
const longestName = 40
export const longestNote = 64

/** `at` in Unix milliseconds. */
export function grantComment(who: string, note: string | undefined, at: number): string {
  const name = plain(who).replaceAll(':', ' ').trim() || 'unknown'
  const short = Buffer.byteLength(name) <= longestName ? name : `${name.slice(0, longestName / 2)}...`
  return `${minuteOf(at)} ${asciiOf(short)}${note === undefined ? '' : `: ${checkedNote(note)}`}`
}

/** Of a grant that this server of the fleet has made. No name has a colon: see above. */
export const fleetComment = (node: string, at: number): string => `${minuteOf(at)} ${fleetName}:${plain(node)}`

/** Undefined for the comment of another program. */
export function parseGrantComment(comment: string | undefined): GrantComment | undefined {
  const [, at, who, note] = /^(\d{4}-\d\d-\d\dT\d\d:\d\dZ) ([^:]+)(?:: (.*))?$/.exec(comment ?? '') ?? []
  const [, madeAt, node] = /^(\d{4}-\d\d-\d\dT\d\d:\d\dZ) fleet:([\w.-]+)$/.exec(comment ?? '') ?? []
  if (madeAt !== undefined && node !== undefined) return { at: madeAt, who: fleetName, node }
  if (at === undefined || who === undefined) return undefined
  return { at, who, ...(note === undefined ? {} : { note }) }
}

/** Throws a ValueError for what a comment cannot have. */
export function checkedNote(note: string): string {
  if (note.trim() === '' || plain(note) !== note)
    throw new ValueError('a note is one line of text, without quotes and backslashes')
  if (Buffer.byteLength(note) > longestNote) throw new ValueError(`a note has at most ${longestNote} bytes`)
  return note
}

const minuteOf = (at: number) => `${new Date(at).toISOString().slice(0, 16)}Z`

/** Without quotes, backslashes, and what is no letter, number, mark, punctuation, symbol or space. */
const plain = (text: string) => text.replace(/["\\]|[^\p{L}\p{N}\p{M}\p{P}\p{S} ]/gu, '')

/** A name that is cut in bytes must not end within a letter. */
const asciiOf = (text: string) => text.replace(/[^ -~]/g, '?')

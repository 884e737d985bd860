/** The arguments of nfqknockd: a rotating credential, and a service for each port that it guards. */
import { createHash } from 'node:crypto'
import { digests } from '../knock/index.js'
import { usageError } from '../util/index.js'
import type { ImportResult, OpenedPorts } from './draft-entries.js'
import { Draft } from './draft.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'

const withValue = 'abpPtocdqm'
const flags = 'fisv'

type Options = ReadonlyMap<string, readonly string[]>

export function importNfqknockd(args: readonly string[]): ImportResult {
  const options = readOptions(args)
  const draft = new Draft()
  const secret = last(options, 'o')
  if (secret === undefined) throw usageError("there is no '-o SECRET' among the arguments of nfqknockd", usage)
  if (secret === '' || last(options, 'c') === '') throw usageError('a secret is empty')
  readGeneral(options, draft)
  const openPorts = portsOf(options, 'P')
  const guarded = portsOf(options, 'p').filter(port => {
    if (!openPorts.includes(port)) return true
    draft.caution(`port ${port} is given with -p and with -P; it stays open`)
    return false
  })
  if (openPorts.length > 0) draft.set('open-ports', openPorts)
  const first = number(options, 'a', 1, 65_535, 1)
  const end = number(options, 'b', 1, 65_535, 65_535)
  if (first >= end)
    throw usageError(`-a ${first} and -b ${end} are no range of ports`, 'the first port is the lower one')
  const digest = digestOf(options)
  const knockSeconds = number(options, 't', 1, 600, 10)
  const knocks = knocksOf(digest)
  if (guarded.length === 0) {
    draft.caution('left out: the sequences: no port is protected, so a knock has nothing to open; name them with -p')
    return draft.finish()
  }
  draft.credential({
    name: 'nfqknockd',
    options: {
      type: 'rotating',
      digest,
      range: `${first}-${end}`,
      hour: 'local',
      timeout: knockSeconds * knocks,
    },
    secrets: secretsOf(secret, last(options, 'c')),
    opens: guarded.map((port): OpenedPorts => ({
      protocol: 'tcp',
      ports: [{ first: port, last: port }],
      window: windowSeconds,
    })),
    notes: notesOf(options, knockSeconds, knocks),
  })
  return draft.finish()
}

const usage = 'as in: pkctl import nfqknockd -- -p 22 -o OPEN-SECRET -c CLOSE-SECRET'

/** A working day. Without an end, a port that its user forgets to close stays open for ever. */
const windowSeconds = 28_800

/** Two bytes of the digest are one knock. */
const knocksOf = (digest: string) => createHash(digest).digest().length / 2

function notesOf(options: Options, knockSeconds: number, knocks: number): Note[] {
  return [
    caution(
      'there, a source keeps access until the closing sequence; here for 8 hours at most, and another 8 with each ' +
        "knock. To keep it as it was: 'window: unlimited'",
    ),
    remark(
      `the timeout is for the whole sequence: there, each of the ${knocks} knocks had ${knockSeconds} s, and a client ` +
        'waits at each port that a firewall drops',
    ),
    remark("both sides must be in the same hour, as there; with 'grace: 60', a minute more or less does not matter"),
    ...(digestOf(options) === 'md5'
      ? [remark('md5 makes 8 knocks; sha256 makes 16, and the clients must have the same')]
      : []),
    ...(last(options, 'c') === undefined
      ? [caution('there is no closing sequence: a grant ends with its window')]
      : []),
  ]
}

function readGeneral(options: Options, draft: Draft): void {
  draft.caution(
    'secrets in arguments can be read by others on this machine, and are in the history of the shell: change them',
  )
  draft.remark('take the NFQUEUE rule of nfqknockd out of iptables; pkctld makes its own rules, for IPv6 as well')
  const queue = {
    ...(options.has('q') ? { number: number(options, 'q', 0, 65_535, 62) } : {}),
    ...(options.has('m') ? { 'max-length': number(options, 'm', 1, 1_000_000, 16_384) } : {}),
  }
  if (Object.keys(queue).length > 0) draft.set('queue', queue)
  if (options.has('v')) draft.set('log', { level: 'debug' })
  if (options.has('s')) draft.remark('left out: -s: pkctl sequence nfqknockd prints the sequences')
  if (options.has('f')) draft.remark('left out: -f: pkctld always stays in the foreground')
  if (options.has('i')) draft.remark('left out: -i: pkctld puts its rules in place by itself')
}

function digestOf(options: Options): string {
  const digest = (last(options, 'd') ?? 'md5').toLowerCase()
  if ((digests as readonly string[]).includes(digest)) return digest
  throw usageError(`-d takes ${digests.join(', ')}, not '${shorten(digest)}'`)
}

const secretsOf = (open: string, close: string | undefined) => ({
  'open-secret': open,
  ...(close === undefined ? {} : { 'close-secret': close }),
})

/** As getopt reads them: `-p 22`, `-p22`, `-fv`. Messages do not show values, which may be secrets. */
function readOptions(args: readonly string[]): Options {
  const options = new Map<string, string[]>()
  const left = args.slice(0, 10_000)
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (!/^-[A-Za-z]/.test(word))
      throw usageError(
        `an argument of nfqknockd is no option: ${options.size === 0 ? 'the first one' : `one after -${[...options.keys()].at(-1)}`}`,
        usage,
      )
    for (let at = 1; at < word.length; at++) {
      const option = word[at] as string
      if (!(withValue + flags).includes(option))
        throw usageError(`nfqknockd has no option -${shorten(option)} that is known here`)
      const values = options.get(option) ?? []
      options.set(option, values)
      if (flags.includes(option)) continue
      const value = at + 1 < word.length ? word.slice(at + 1) : left.shift()
      if (value === undefined) throw usageError(`-${option} of nfqknockd needs a value`)
      values.push(value)
      break
    }
  }
  return options
}

const last = (options: Options, option: string) => options.get(option)?.at(-1)

function number(options: Options, option: string, min: number, max: number, otherwise: number): number {
  const text = last(options, option)
  return text === undefined ? otherwise : numberOf(text, option, min, max)
}

function numberOf(text: string, option: string, min: number, max: number): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text)
  throw usageError(`-${option} takes a number from ${min} to ${max}, not '${shorten(text)}'`)
}

const portsOf = (options: Options, option: string) => [
  ...new Set(
    (options.get(option) ?? []).flatMap(text => text.split(',').map(part => numberOf(part, option, 1, 65_535))),
  ),
]

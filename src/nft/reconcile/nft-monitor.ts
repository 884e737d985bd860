/**
 * What happens to the ruleset, as one `nft monitor` reports it that runs for as long as it is wanted.
 *
 * Its text is read, not its JSON: only the text says where a transaction ends and which process made it, and some releases end
 * in the middle of the JSON of a deletion. What the packet path does to elements, and their expiry, is not reported.
 */
import { spawn } from 'node:child_process'
import { isIP, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { family as ownFamily, table as ownTable } from '../nft-json.js'
import { parseNftTime } from '../listing.js'

/** One object that came or went. */
export interface RulesetEvent {
  /** `add`, `insert`, `replace`, `delete` or `destroy`. */
  readonly verb: string
  /** `table`, `chain`, `rule`, `set`, `map`, `element` and others. */
  readonly kind: string
  readonly family: string
  readonly table: string
  /** The chain, set or map; empty for a table. */
  readonly name: string
  /** Elements that came or went. */
  readonly elements: readonly MonitoredElement[]
}

interface MonitoredElement {
  readonly value: string
  /** Seconds; null for one that stays. */
  readonly timeout: number | null
  readonly expires: number | null
  readonly comment?: string
}

/** What happened in one transaction. */
export interface RulesetTransaction {
  /**
   * All of pkctl's table; of each other table the first of each verb and kind, because others may load big lists.
   * None when nft shows nothing of it, which happens with elements of interval sets and maps.
   */
  readonly events: readonly RulesetEvent[]
  /** The number of the ruleset after it. */
  readonly generation?: number
  /** The process that made it, as far as nft knows: `process 123 (nft)`. */
  readonly by: string
  /** More happened to pkctl's table than could be read. */
  readonly lost: boolean
}

export interface Monitor {
  readonly pid: number | undefined
  stop(): void
}

export interface MonitorEvents {
  transaction(transaction: RulesetTransaction): void
  /** pkctl's table was deleted, by a transaction whose end is not read yet: big lists of others may come before it. */
  deleted(): void
  /** It ended, and was not asked to. */
  ended(reason: string): void
}

/** Starts to watch. nft needs some time, longer the more elements there are, until it sees what happens. */
export type Watch = (events: MonitorEvents) => Monitor

/** More than this of pkctl's table in one transaction, and it is enough to know that there was much. */
const maxEvents = 100_000

/**
 * The real thing. The kernel ends nft when the process that started it dies, also when that was killed. Not where root
 * is confined by AppArmor: there, setpriv keeps only the capabilities of the profile, nft regains root's others, and who
 * gains capabilities is not ended so. For the unit's user, who has no others, it holds.
 */
export const watchRuleset: Watch = events => {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'nft', 'monitor'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  const reader = new MonitorReader({
    transaction: transaction => {
      if (!stopped) events.transaction(transaction)
    },
    deleted: () => {
      if (!stopped) events.deleted()
    },
  })
  let stopped = false
  let complaint = ''
  const end = (reason: string) => {
    if (stopped) return
    stopped = true
    events.ended(reason)
  }
  // Without free file descriptors there are no pipes, whatever the types say; the 'error' event follows.
  const pipes: Partial<Pick<typeof child, 'stdout' | 'stderr'>> = child
  if (pipes.stdout) {
    createInterface({ input: pipes.stdout }).on('line', line => {
      reader.line(line)
    })
  }
  pipes.stderr?.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-1000)))
  child.on('error', error => {
    end(error.message)
  })
  child.on('close', (status, signal) => {
    const last = complaint.trim().split('\n').at(-1) ?? ''
    end(last === '' ? (signal ?? `exit status ${status}`) : last)
  })
  // The monitor alone keeps no process running.
  child.unref()
  for (const stream of [pipes.stdout, pipes.stderr]) if (stream instanceof Socket) stream.unref()
  return {
    pid: child.pid,
    stop() {
      stopped = true
      child.kill('SIGKILL')
    },
  }
}

export const isDeletion = (verb: string): boolean => verb === 'delete' || verb === 'destroy'

/** Puts the lines of `nft monitor` together to transactions. */
export class MonitorReader {
  #events: RulesetEvent[] = []
  #ours = 0
  /** What others did, without its repetitions. */
  readonly #foreign = new Set<string>()
  /** How lines begin that say the last of these again: a big list has a million of them. */
  #repeated: string | undefined
  #lost = false

  constructor(readonly on: Pick<MonitorEvents, 'transaction' | 'deleted'>) {}

  line(line: string): void {
    if (this.#repeated !== undefined && line.startsWith(this.#repeated)) return
    const [, generation, by = ''] = /^# new generation (\d+)(?: by (.*))?$/.exec(line) ?? []
    if (generation !== undefined) {
      this.#end(by, Number(generation))
      return
    }
    if (line.startsWith('# ERROR')) {
      this.#lost = true
      this.#end('')
      // What comes up to the next end is not whole, either.
      this.#lost = true
      return
    }
    const event = parseEvent(line)
    if (!event) return
    if (!isOurs(event)) this.#keepForeign(event)
    else if (++this.#ours <= maxEvents) this.#events.push(event)
    else this.#lost = true
    if (event.kind === 'table' && isOurs(event) && isDeletion(event.verb)) this.on.deleted()
  }

  #keepForeign(event: RulesetEvent): void {
    const { verb, kind, family, table } = event
    const what = `${verb} ${kind} ${family} ${table}`
    this.#repeated = `${what} `
    if (this.#foreign.has(what)) return
    this.#foreign.add(what)
    this.#events.push(event)
  }

  #end(by: string, generation?: number): void {
    const transaction = {
      ...{ events: this.#events, by, lost: this.#lost },
      ...(generation === undefined ? {} : { generation }),
    }
    this.#events = []
    this.#ours = 0
    this.#foreign.clear()
    this.#repeated = undefined
    this.#lost = false
    this.on.transaction(transaction)
  }
}

/** Whether it is about pkctl's table. */
export const isOurs = ({ family, table }: Pick<RulesetEvent, 'family' | 'table'>): boolean =>
  family === ownFamily && table === ownTable

const eventPattern =
  /^(add|insert|replace|delete|destroy) ([a-z]+) (ip|ip6|inet|arp|bridge|netdev) (\S+)(?: (\S+))?(.*)$/

/** One line; undefined when it is about something else, such as a packet that is traced. */
export function parseEvent(line: string): RulesetEvent | undefined {
  const [, verb = '', kind = '', family = '', table = '', name = '', rest = ''] = eventPattern.exec(line) ?? []
  if (verb === '') return undefined
  const elements = kind === 'element' && isOurs({ family, table }) ? parseElements(rest) : []
  return { verb, kind, family, table, name: kind === 'table' ? '' : name, elements }
}

const elementPattern = /([0-9a-f]*[.:][0-9a-f.:]*)(?: timeout (\S+))?(?: expires (\S+))?(?: comment#(\d+))?/g

/** Addresses, with their times; elements of other types are left out. */
function parseElements(text: string): MonitoredElement[] {
  // What a comment says is no element.
  const comments: string[] = []
  const bare = text.replace(/comment "([^"]*)"/g, (_, comment: string) => `comment#${comments.push(comment) - 1}`)
  return [...bare.matchAll(elementPattern)]
    .map(([, value = '', timeout, expires, comment]) => ({
      value,
      timeout: timeout === undefined ? null : parseNftTime(timeout),
      expires: timeout === undefined ? null : parseNftTime(expires ?? timeout),
      ...(comment === undefined ? {} : { comment: comments[Number(comment)] ?? '' }),
    }))
    .filter(({ value }) => isIP(value) !== 0)
}

/** knockd.conf: a credential for each door, and a service for what its command opens. */
import * as path from 'node:path'
import type { ConfigReader } from '../config/reader.js'
import { placeholders } from '../config/trigger-schema.js'
import { namePattern } from '../config/values.js'
import { readOneTime } from '../knock/one-time.js'
import { formatStep, maxSteps, parseFlags, parseStep } from '../knock/sequence.js'
import { parseAddress } from '../net/addresses.js'
import { reasonOf } from '../util/file-text.js'
import { oneLine } from '../util/text.js'
import type { CredentialDraft, ImportResult, Note, TriggerDraft, Window } from './draft.js'
import { caution, Draft, maxWindow, remark, rightsOfCommands, shorten } from './draft.js'
import type { FirewallCommand } from './firewall-commands.js'
import { readFirewallCommand } from './firewall-commands.js'
import { formatServicePorts } from './service-ports.js'
import { literalWords } from './shell-words.js'

interface Section {
  readonly name: string
  readonly values: Map<string, string>
}

// knockd's own, where a door does not say.
const defaultSequenceSeconds = 25
const defaultCommandSeconds = 10

export function importKnockd(text: string, reader: Pick<ConfigReader, 'readFile'>): ImportResult {
  const draft = new Draft()
  const sections = readSections(text, draft)
  for (const { name, values } of sections.filter(isOptions)) readOptions(name, values, draft)
  const doors = sections
    .filter(section => !isOptions(section))
    .map(({ name, values }) => new Door(name, values, reader))
  const opened = new Set(
    doors.flatMap(({ commands }) => (commands.start?.action === 'open' ? keysOf(commands.start) : [])),
  )
  const closed = new Set(
    doors.flatMap(({ commands }) => (commands.start?.action === 'close' ? keysOf(commands.start) : [])),
  )
  for (const door of doors) {
    const credential = door.credential(opened, closed)
    if (typeof credential === 'string') draft.caution(`left out: door '${shorten(door.name)}': ${credential}`)
    else draft.credential(credential)
  }
  if (doors.some(({ isTriggered }) => isTriggered)) {
    draft.remark(
      'knockd waits for commands as long as they take; here they are ended after 30 s, or the time of timeout',
    )
    draft.remark(`knockd runs commands as root; ${rightsOfCommands}`)
  }
  return draft.finish()
}

const isOptions = ({ name }: Section) => name.toLowerCase() === 'options'

// ---- the file

function readSections(text: string, draft: Draft): Section[] {
  const sections: Section[] = []
  let section: Section | undefined
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  lines.forEach((raw, i) => {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) return
    const name = /^\[(.*)\]$/s.exec(line)?.[1]
    if (name !== undefined) {
      section = { name, values: new Map() }
      sections.push(section)
      return
    }
    // What follows belongs to whatever was meant to begin here, and not to the door before it.
    if (line.startsWith('[')) section = undefined
    const at = line.indexOf('=')
    const key = (at < 0 ? line : line.slice(0, at)).trim()
    const value = at < 0 ? undefined : line.slice(at + 1).trim()
    const flag = key.toLowerCase() === 'usesyslog'
    if (!section || key === '' || (value === undefined && !flag)) {
      draft.caution(`left out: line ${i + 1}: neither [name] nor key = value of a section: ${shorten(line)}`)
      return
    }
    const known = aliases[key.toLowerCase()] ?? key.toLowerCase()
    if (section.values.has(known)) {
      draft.caution(`line ${i + 1}: ${shorten(key)} is given twice in [${shorten(section.name)}]; the last one counts`)
    }
    section.values.set(known, value ?? '')
  })
  return sections
}

const aliases: Readonly<Record<string, string>> = { command: 'start_command', command_6: 'start_command_6' }

function readOptions(section: string, values: ReadonlyMap<string, string>, draft: Draft): void {
  const file = values.get('logfile')
  for (const [key, value] of values) {
    if (key === 'usesyslog') {
      if (file === undefined) draft.set('log', { to: 'syslog' })
      else draft.caution('left out: UseSyslog, because the log goes to one place, which is that of LogFile')
    } else if (key === 'logfile') {
      if (path.isAbsolute(value) && oneLine(value) === value) draft.set('log', { to: value })
      else draft.caution(`left out: LogFile = ${shorten(value)}: it is no absolute path that can be typed`)
    } else if (key === 'pidfile') draft.remark(`left out: PidFile = ${shorten(value)}: pkctld needs none`)
    else if (key === 'interface') {
      const how = 'pkctld takes knocks on all interfaces; target limits a credential to an address'
      draft.caution(`left out: Interface = ${shorten(value)}: ${how}`)
    } else
      draft.caution(`left out: ${shorten(key)} in [${shorten(section)}]: it is no option of knockd that is known here`)
  }
}

// ---- a door

const doorKeys = [
  'sequence',
  'one_time_sequences',
  'seq_timeout',
  'tcpflags',
  'target',
  'start_command',
  'start_command_6',
  'cmd_timeout',
  'stop_command',
  'stop_command_6',
]

/** What can be told of the commands of a door; undefined where a line is there and is not understood. */
interface Commands {
  readonly start: FirewallCommand | undefined
  readonly stop: FirewallCommand | undefined
  /** What opening is limited to, over either version of IP. */
  readonly limits: readonly string[]
  /** Whether all that is given is understood, and IPv6 has nothing of its own. */
  readonly plain: boolean
}

class Door {
  readonly commands: Commands
  readonly #notes: Note[] = []
  isTriggered = false

  constructor(
    readonly name: string,
    readonly values: ReadonlyMap<string, string>,
    readonly reader: Pick<ConfigReader, 'readFile'>,
  ) {
    this.commands = this.#commands()
  }

  /** Or why there can be none. */
  credential(opened: ReadonlySet<string>, closed: ReadonlySet<string>): CredentialDraft | string {
    for (const key of this.values.keys()) {
      if (!doorKeys.includes(key)) this.#caution(`left out: ${shorten(key)}: knockd has no such key that is known here`)
    }
    const knocks = this.#knocks()
    if (typeof knocks === 'string') return knocks
    const effect = this.#effect(opened, closed)
    if (typeof effect === 'string') return effect
    return { name: this.name, options: knocks, ...effect, notes: this.#notes }
  }

  #caution(text: string): void {
    this.#notes.push(caution(text))
  }

  // -- what is knocked

  #knocks(): Record<string, unknown> | string {
    const file = this.values.get('one_time_sequences')
    const text = this.values.get('sequence')
    if (file !== undefined && text !== undefined) this.#caution('left out: Sequence, beside One_Time_Sequences')
    const steps = file === undefined ? this.#sequence(text) : this.#oneTime(file)
    if (typeof steps === 'string') return steps
    const timeout = this.#seconds('seq_timeout', defaultSequenceSeconds)
    const flags = this.#flags()
    if (typeof flags === 'string') return flags
    const target = this.values.get('target')
    const options = { ...steps, timeout, ...(flags ? { 'tcp-flags': flags } : {}) }
    if (target === undefined) return options
    try {
      return { ...options, target: parseAddress(target).address }
    } catch {
      return `its target ${shorten(target)} is no address, and without it, knocks at every address would count`
    }
  }

  #sequence(text: string | undefined): Record<string, unknown> | string {
    if (text === undefined) return 'it has neither Sequence nor One_Time_Sequences'
    try {
      const steps = text.split(',').map(parseStep)
      if (steps.length > maxSteps) return `its sequence has ${steps.length} knocks, of which ${maxSteps} are possible`
      return {
        type: 'sequence',
        sequence: steps.map(step => (/^\d+$/.test(formatStep(step)) ? step.port : formatStep(step))),
      }
    } catch (error) {
      return `its sequence cannot be used: ${(error as Error).message.slice(0, 200)}`
    }
  }

  #oneTime(file: string): Record<string, unknown> | string {
    if (!path.isAbsolute(file)) return `its file of sequences, ${shorten(file)}, is not an absolute path`
    try {
      readOneTime(this.reader.readFile(file))
    } catch (error) {
      return `its file of sequences, ${shorten(file)}, cannot be used: ${reasonOf(error)}`
    }
    this.#notes.push(remark('pkctld marks used sequences in that file, too: do not run knockd beside it'))
    return { type: 'one-time', 'sequences-file': file }
  }

  #flags(): string[] | string | undefined {
    const text = this.values.get('tcpflags')
    if (text === undefined) return undefined
    const flags = text.split(/[,|]/).map(flag => flag.trim().toLowerCase().replace(/^!\s+/, '!'))
    try {
      parseFlags(flags)
      return flags
    } catch (error) {
      return `its TCPFlags cannot be used: ${(error as Error).message.slice(0, 200)}`
    }
  }

  #seconds(key: string, otherwise: number): number {
    const text = this.values.get(key)
    if (text === undefined) return otherwise
    if (/^\d{1,8}$/.test(text) && Number(text) >= 1 && Number(text) <= maxWindow) return Number(text)
    this.#caution(`${key} = ${shorten(text)} is no time from 1 second to a year; it is ${otherwise} here`)
    return otherwise
  }

  // -- what it does

  #commands(): Commands {
    const read = (key: string) => {
      const line = this.values.get(key)
      return line === undefined || line === '' ? undefined : readFirewallCommand(line)
    }
    const start = read('start_command')
    const stop = read('stop_command')
    const limits = [...new Set([...(start?.limits ?? []), ...(read('start_command_6')?.limits ?? [])])]
    const isGiven = (key: string) => (this.values.get(key) ?? '') !== ''
    const sameForIpv6 = (key: string, ipv4: FirewallCommand | undefined) => {
      if (!this.values.has(`${key}_6`)) return true
      const ipv6 = read(`${key}_6`)
      if (!ipv4 || !ipv6 || ipv6.seconds !== ipv4.seconds) return false
      return ipv6.action === ipv4.action && keysOf(ipv6).join() === keysOf(ipv4).join()
    }
    const understood = start !== undefined && (stop !== undefined || !isGiven('stop_command'))
    const plain = understood && sameForIpv6('start_command', start) && sameForIpv6('stop_command', stop)
    return { start, stop, limits, plain }
  }

  #effect(opened: ReadonlySet<string>, closed: ReadonlySet<string>): Partial<CredentialDraft> | string {
    const { start, stop, plain } = this.commands
    if (plain && start) {
      if (start.action === 'close') {
        if (stop) return this.#triggers('it closes first and opens later')
        return this.#closing(start, opened)
      }
      if (!stop || (stop.action === 'close' && keysOf(stop).join() === keysOf(start).join())) {
        return this.#opening(start, stop, closed)
      }
      return this.#triggers('stop_command is not the counterpart of start_command')
    }
    if (!start) return this.#triggers(undefined)
    if (this.commands.stop === undefined && this.values.get('stop_command')) {
      return this.#triggers('stop_command is not the counterpart of start_command')
    }
    return this.#triggers('IPv6 has other commands than IPv4')
  }

  #opening(
    start: FirewallCommand,
    stop: FirewallCommand | undefined,
    closed: ReadonlySet<string>,
  ): Partial<CredentialDraft> | string {
    for (const limit of this.commands.limits)
      this.#caution(`left out: ${shorten(limit)}: a grant is for an address, wherever it comes in`)
    const timeout = stop ? this.#seconds('cmd_timeout', defaultCommandSeconds) : Infinity
    const { seconds = 0 } = start
    // 0 is no end there, either.
    const shortest = Math.min(timeout, seconds > 0 ? seconds : Infinity)
    const window: Window = shortest === Infinity ? 'unlimited' : Math.min(shortest, maxWindow)
    if (window === 'unlimited') {
      const other = keysOf(start).every(key => closed.has(key))
      const until = other ? 'another door closes it' : 'pkctl delete'
      this.#caution(`there is no stop_command: it stays open until ${until}; a window such as 8h is safer`)
    }
    if (start.service === undefined) return { opens: start.opens.map(one => ({ ...one, window })), window }
    const named = this.#named(start.service)
    return named === undefined ? this.#triggers('its service has a name that pkctl does not take') : { named, window }
  }

  #named(service: string): string[] | undefined {
    if (!namePattern.test(service)) return undefined
    const how = `the script with pktables init ${service} gives it: pkctl import knockd-helper`
    this.#notes.push(remark(`the service ${service} is not in knockd.conf; ${how}`))
    return [service]
  }

  #closing(start: FirewallCommand, opened: ReadonlySet<string>): Partial<CredentialDraft> | string {
    if (start.service === undefined && !keysOf(start).every(key => opened.has(key))) {
      return `it closes ${start.opens.map(({ protocol, ports }) => formatServicePorts(protocol, ports)).join(', ')}, which no door opens`
    }
    this.#notes.push(remark('it closes for whoever knocks; a window closes without a knock'))
    if (start.service === undefined) return { closes: start.opens }
    if (!namePattern.test(start.service)) return 'its service has a name that pkctl does not take'
    return { closesNamed: [start.service] }
  }

  #triggers(why: string | undefined): Partial<CredentialDraft> | string {
    const onOpen = this.#trigger('start_command')
    const onExpiry = this.#trigger('stop_command')
    if (!onOpen && !onExpiry) return 'it has no command'
    this.isTriggered = true
    const lines = ['start_command', 'start_command_6', 'stop_command', 'stop_command_6'].map(
      key => this.values.get(key) ?? '',
    )
    const replaced = placeholders.filter(name => lines.some(line => line.includes(`{${name}}`)))
    for (const name of replaced) this.#caution(`{${name}} in a command is replaced here, as %IP% is; it was not there`)
    const what = 'its commands are run as they are'
    if (why !== undefined) this.#caution(`${what}, and open no service of pkctl: ${why}`)
    else if (lines.some(line => /\b(ip6?tables|nft|ufw|firewall-cmd|pktables)\b/.test(line))) {
      this.#caution(`${what}: it is not plain which port they open; a service with opens would close it by itself`)
    }
    return {
      ...(onOpen ? { onOpen } : {}),
      ...(onExpiry ? { onExpiry, window: this.#seconds('cmd_timeout', defaultCommandSeconds) } : {}),
    }
  }

  #trigger(key: string): TriggerDraft | undefined {
    const line = this.values.get(key)
    const line6 = this.values.get(`${key}_6`)
    if (!line && !line6) return undefined
    if ([line, line6].some(text => text?.includes('\0'))) return undefined
    const asleep = Math.max(secondsAsleep(line ?? ''), secondsAsleep(line6 ?? ''))
    const usable = Number.isFinite(asleep) && asleep + 30 <= maxCommandSeconds
    if (!usable) {
      this.#caution(
        `it cannot be told how long ${key} sleeps, or it is more than a day: what it does afterwards is done only ` +
          'within the timeout, which is 30 s unless it is given',
      )
    }
    return {
      ...commandOf(line ?? '', ''),
      ...(line6 === undefined || line6 === line ? {} : commandOf(line6, '6')),
      ...(asleep > 0 && usable ? { timeout: asleep + 30 } : {}),
    }
  }
}

const maxCommandSeconds = 86_400
const secondsPerUnit: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** How long a line sleeps in all, as far as it says so in numbers; NaN where it does not. */
function secondsAsleep(line: string): number {
  const times = [...line.matchAll(/\bsleep((?:\s+[^\s;&|)]+)+)/g)].flatMap(([, all = '']) => all.trim().split(/\s+/))
  return times.reduce((sum, time) => {
    const [, digits, unit = ''] = /^(\d{1,5})([smhd]?)$/.exec(time) ?? []
    return sum + Number(digits) * (secondsPerUnit[unit] ?? NaN)
  }, 0)
}

/** Without a shell where none is needed. */
function commandOf(line: string, version: '' | '6'): Record<string, unknown> {
  if (line === '') return { [`command${version}`]: [] }
  const words = literalWords(line)
  if (words?.[0]?.startsWith('/')) return { [`command${version}`]: words }
  return { [`shell${version}`]: line }
}

/** What is opened or closed, in words that can be compared. */
const keysOf = ({ opens, service }: FirewallCommand): string[] =>
  service === undefined
    ? opens.map(({ protocol, ports }) => formatServicePorts(protocol, ports)).sort()
    : [`service ${service}`]

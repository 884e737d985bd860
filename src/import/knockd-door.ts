/** A door of knockd.conf, as the credential that it becomes. */
import type { ConfigReader } from '../config/index.js'
import { placeholders } from '../config/index.js'
import { maxWindowSeconds, namePattern } from '../config/values.js'
import type { CredentialDraft, Window } from './draft-entries.js'
import type { FirewallCommand } from './firewall-commands.js'
import type { DoorCommands } from './knockd-commands.js'
import { commandsOf, keysOf } from './knockd-commands.js'
import { secondsOf } from './knockd-file.js'
import { knocksOf } from './knockd-knocks.js'
import { triggerOf } from './knockd-trigger.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'
import { formatServicePorts } from './service-ports.js'

/** knockd's own default. */
const defaultCommandSeconds = 10

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

export class Door {
  readonly commands: DoorCommands
  readonly #notes: Note[] = []
  isTriggered = false

  constructor(
    readonly name: string,
    readonly values: ReadonlyMap<string, string>,
    readonly reader: Pick<ConfigReader, 'readFile'>,
  ) {
    this.commands = commandsOf(values)
  }

  /** Or why there can be none. `opened` and `closed` are what all doors open and close, as `keysOf` tells it. */
  credential(opened: ReadonlySet<string>, closed: ReadonlySet<string>): CredentialDraft | string {
    for (const key of this.values.keys()) {
      if (!doorKeys.includes(key)) this.#caution(`left out: ${shorten(key)}: knockd has no such key that is known here`)
    }
    const knocks = knocksOf(this.values, file => this.reader.readFile(file), this.#notes)
    if (typeof knocks === 'string') return knocks
    const effect = this.#effect(opened, closed)
    if (typeof effect === 'string') return effect
    return { name: this.name, options: knocks, ...effect, notes: this.#notes }
  }

  #caution(text: string): void {
    this.#notes.push(caution(text))
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
    const timeout = stop ? secondsOf(this.values, 'cmd_timeout', defaultCommandSeconds, this.#notes) : Infinity
    const { seconds = 0 } = start
    // 0 is no end there, either.
    const shortest = Math.min(timeout, seconds > 0 ? seconds : Infinity)
    const window: Window = shortest === Infinity ? 'unlimited' : Math.min(shortest, maxWindowSeconds)
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
    this.#notes.push(remark('it closes for the source that knocks; a window closes without a knock'))
    if (start.service === undefined) return { closes: start.opens }
    if (!namePattern.test(start.service)) return 'its service has a name that pkctl does not take'
    return { closesNamed: [start.service] }
  }

  #triggers(why: string | undefined): Partial<CredentialDraft> | string {
    const onOpen = triggerOf(this.values, 'start_command', this.#notes)
    const onExpiry = triggerOf(this.values, 'stop_command', this.#notes)
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
      ...(onExpiry
        ? { onExpiry, window: secondsOf(this.values, 'cmd_timeout', defaultCommandSeconds, this.#notes) }
        : {}),
    }
  }
}

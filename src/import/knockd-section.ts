/** A section of knockd.conf, as the credential that it becomes. */
import { placeholders } from '../config/index.js'
import { maxWindowSeconds } from '../config/service-rules.js'
import { namePattern } from '../config/values.js'
import type { CredentialDraft, TriggerDraft, Window } from './draft-entries.js'
import type { FirewallLine } from './firewall-lines.js'
import { changesRules, isSame, keysOf } from './firewall-lines.js'
import type { SectionCommands } from './knockd-commands.js'
import { commandsOf } from './knockd-commands.js'
import { secondsOf } from './knockd-file.js'
import type { FileReader } from './knockd-knocks.js'
import { knocksOf } from './knockd-knocks.js'
import { deletesRules, repeatable } from './knockd-repeats.js'
import { triggerDraft } from './knockd-trigger.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'

const isName = (name: string) => namePattern.test(name)

/** knockd's own default. */
const defaultCommandSeconds = 10

const sectionKeys = [
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

/** What all sections do together. */
interface AllSections {
  /** As `keysOf` tells it. */
  readonly opened: ReadonlySet<string>
  readonly closed: ReadonlySet<string>
  /** Whether any has commands that are not understood. */
  readonly hasOthers: boolean
}

export class KnockSection {
  readonly commands: SectionCommands
  readonly #notes: Note[] = []
  readonly #replaced = new Set<string>()
  isTriggered = false

  constructor(
    readonly name: string,
    readonly values: ReadonlyMap<string, string>,
    readonly reader: FileReader,
  ) {
    this.commands = commandsOf(values)
  }

  /** Or why there can be none. */
  credential(all: AllSections): CredentialDraft | string {
    for (const key of this.values.keys()) {
      if (!sectionKeys.includes(key)) this.#caution(`left out: ${shorten(key)}: pkctl does not know this knockd option`)
    }
    const knocks = knocksOf(this.values, file => this.reader.readFile(file), this.#notes)
    if (typeof knocks === 'string') return knocks
    const effect = this.#effect(all)
    if (typeof effect === 'string') return effect
    return { name: this.name, options: knocks, ...effect, notes: this.#notes }
  }

  #caution(text: string): void {
    this.#notes.push(caution(text))
  }

  #effect(all: AllSections): Partial<CredentialDraft> | string {
    const { start, stop, plain } = this.commands
    if (plain && start) {
      if (start.action === 'close') {
        if (stop) return this.#triggers('it closes first and opens later')
        return this.#closing(start, all)
      }
      if (!stop || (stop.action === 'close' && isSame(stop, start))) return this.#opening(start, stop, all)
      return this.#triggers('stop_command is not the counterpart of start_command')
    }
    if (!start) return this.#triggers(undefined)
    if (this.commands.stop === undefined && this.values.get('stop_command')) {
      return this.#triggers('stop_command is not the counterpart of start_command')
    }
    return this.#triggers('IPv6 has other commands than IPv4')
  }

  #opening(
    start: FirewallLine,
    stop: FirewallLine | undefined,
    { closed }: AllSections,
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
      const until = other ? 'another section closes it' : 'pkctl delete'
      this.#caution(`there is no stop_command: it stays open until ${until}; a window such as 8h is safer`)
    }
    const { all, opens, services } = start
    if (all !== undefined) {
      const onOpen = this.#run((stop && repeatable(this.values)) ?? this.values, 'start_command')
      const onExpiry = this.#run(this.values, 'stop_command')
      return { opensAll: all, window, ...(onOpen ? { onOpen } : {}), ...(onExpiry ? { onExpiry } : {}) }
    }
    if (!services.every(isName)) return this.#triggers('its service has a name that pkctl does not take')
    for (const service of services) {
      const how = `import the script that runs pktables init ${service} with pkctl import knockd-helper`
      this.#notes.push(remark(`knockd.conf does not define the service ${service}: ${how}`))
    }
    const onOpen = this.#run(this.commands.rests, 'start_command')
    const onExpiry = this.#run(this.commands.rests, 'stop_command')
    return {
      opens: opens.map(one => ({ ...one, window })),
      named: services,
      window,
      ...(onOpen ? { onOpen } : {}),
      ...(onExpiry ? { onExpiry } : {}),
    }
  }

  #closing(start: FirewallLine, { opened, hasOthers }: AllSections): Partial<CredentialDraft> | string {
    const unknown = keysOf(start).filter(key => !key.startsWith('service ') && !opened.has(key))
    if (unknown.length > 0) {
      const why = `it closes ${unknown.join(', ')}, which no section opens`
      return hasOthers ? this.#triggers(why) : why
    }
    const { all, opens, services } = start
    if (!services.every(isName)) return 'its service has a name that pkctl does not take'
    this.#notes.push(remark('it closes for the source that knocks; a window closes without a knock'))
    if (all !== undefined && [...opened].every(key => key.startsWith('all ports')))
      return this.#triggers('no section opens a port by its number')
    const onClose = this.#run(all === undefined ? this.commands.rests : this.values, 'start_command')
    return {
      closes: opens,
      closesNamed: services,
      ...(all === undefined ? {} : { closesAll: all }),
      ...(onClose ? { onClose } : {}),
    }
  }

  /** The trigger for a key, of which there is one where its text is not empty. */
  #run(values: ReadonlyMap<string, string>, key: string): TriggerDraft | undefined {
    const trigger = triggerDraft(values, key, this.#notes)
    if (!trigger) return undefined
    this.isTriggered = true
    const lines = [values.get(key) ?? '', values.get(`${key}_6`) ?? '']
    for (const name of placeholders.filter(name => lines.some(line => line.includes(`{${name}}`)))) {
      if (!this.#replaced.has(name))
        this.#caution(`{${name}} in a command is replaced here, as %IP% is; it was not there`)
      this.#replaced.add(name)
    }
    return trigger
  }

  #triggers(why: string | undefined): Partial<CredentialDraft> | string {
    const once = deletesRules(this.values) ? repeatable(this.values) : undefined
    const onOpen = this.#run(once ?? this.values, 'start_command')
    const onExpiry = this.#run(this.values, 'stop_command')
    if (!onOpen && !onExpiry) return 'it has no command'
    const lines = ['start_command', 'start_command_6', 'stop_command', 'stop_command_6'].map(
      key => this.values.get(key) ?? '',
    )
    const what = 'its commands are run as they are'
    if (why !== undefined) this.#caution(`${what}, and open no service of pkctl: ${why}`)
    const isUnclear = lines.some(line => changesRules.test(line))
    if (why === undefined && isUnclear)
      this.#caution(`${what}: it is not plain which port they open; a service with opens would close it by itself`)
    if (isUnclear && onOpen && onExpiry && !once) {
      const stays = 'a rule that is added twice stays'
      this.#caution(`a second knock within the window runs start_command again, and stop_command runs once: ${stays}`)
    }
    return {
      isUnclear,
      ...(onOpen ? { onOpen } : {}),
      ...(onExpiry
        ? { onExpiry, window: secondsOf(this.values, 'cmd_timeout', defaultCommandSeconds, this.#notes) }
        : {}),
    }
  }
}

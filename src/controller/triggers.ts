/**
 * Commands that follow a knock: when it opens, when it closes, and when what it opened has ended by itself. What is due
 * is on disk before the first of them runs, so that whatever a knock began is ended after a restart, too.
 */
import type { Command, Credential, Trigger } from '../config/types.js'
import { formatPorts } from '../net/ports.js'
import type { ServiceSpec } from '../nft/table/service-spec.js'
import type { ExpiryStore, DueGrant } from './expiry-store.js'
import { EventLimiter } from './event-limiter.js'
import type { Log } from './log.js'

type TriggerEvent = 'open' | 'close' | 'expiry'

/** One command, ready to run. */
export interface CommandRun {
  /** For the log: `on-open of guest`. */
  readonly name: string
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly user: string | null
  readonly group: string | null
  /** Seconds. */
  readonly timeout: number
}

/** Resolves when the command has ended, however it did; the log has the rest. */
export type RunCommand = (run: CommandRun) => Promise<void>

interface TriggersParts {
  readonly log: Log
  readonly due: ExpiryStore
  readonly run: RunCommand
  /** Unix milliseconds. */
  readonly now: () => number
}

interface Limits {
  readonly triggersAtOnce: number
  readonly triggersWaiting: number
}

/** A window where neither the credential nor a service has one. */
const defaultWindowSeconds = 60
/** More than anybody lets in; each is a line of a file, and some hundred bytes of memory. */
const maxDue = 100_000
const stopMilliseconds = 5000
/** The clock may be set ahead meanwhile, as on a machine that has none when it is off. */
const maxWaitMilliseconds = 30_000
/** Sources can be forged: what is not run may not fill the log. */
const refusalsPerSecond = 5

export class Triggers {
  readonly #parts: TriggersParts
  #credentials: ReadonlyMap<string, Credential> = new Map()
  #services: ReadonlyMap<string, ServiceSpec> = new Map()
  #limits: Limits = { triggersAtOnce: 1, triggersWaiting: 1 }
  readonly #running = new Set<Promise<void>>()
  readonly #waiting: (() => void)[] = []
  /** What runs, or is to run, for an address by a credential. */
  readonly #rows = new Map<string, Row>()
  /** How many wait for another command of their row. */
  #behind = 0
  readonly #refusals = new EventLimiter(refusalsPerSecond)
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(parts: TriggersParts) {
    this.#parts = parts
  }

  /** Runs by this configuration from now on; what fell due while nobody was there runs now. */
  configure(credentials: readonly Credential[], services: ReadonlyMap<string, ServiceSpec>, limits: Limits): void {
    this.#credentials = new Map(credentials.map(credential => [credential.name, credential]))
    this.#services = services
    this.#limits = limits
    this.#awaitDue()
  }

  /** A knock let `address` in. */
  opened(name: string, address: string): void {
    const credential = this.#credentials.get(name)
    if (!credential) return
    const seconds = this.#seconds(credential)
    const expires = seconds === Infinity ? null : Math.floor(this.#parts.now() / 1000) + seconds
    const run = this.#runFor('open', credential, address, expires)
    if (run && !this.#hasRoom(run, this.#rows.get(keyOf(name, address))?.ends)) return
    const { due } = this.#parts
    if (credential.triggers.expiry && expires !== null) {
      try {
        if (due.size >= maxDue) throw new Error(`${maxDue} others are due already`)
        due.put({ credential: name, address, expires })
      } catch (error) {
        const what = `on-open of ${name} is not run for ${address}, because its on-expiry cannot be noted`
        this.#refuse(`${what}: ${(error as Error).message}`)
        return
      }
      this.#awaitDue()
    }
    if (run) void this.#begin(run, name, address)
  }

  /** A knock took the grant of `address` back. */
  closed(name: string, address: string): void {
    const credential = this.#credentials.get(name)
    if (!credential) return
    const now = Math.floor(this.#parts.now() / 1000)
    const noted = this.#parts.due.get(name, address)
    if (credential.triggers.close) {
      const run = this.#runFor('close', credential, address, now)
      // What is not run now leaves its end to on-expiry.
      if (run && !this.#hasRoom(run, this.#rows.get(keyOf(name, address))?.all)) return
      if (noted) this.#parts.due.take(noted)
      void this.#close(run, noted, name, address)
    } else if (noted) {
      this.#parts.due.take(noted)
      void this.#expire(noted)
    }
  }

  // Noted until it has run: if it never does, on-expiry ends what was begun.
  async #close(run: CommandRun | undefined, noted: DueGrant | undefined, name: string, address: string): Promise<void> {
    if (run) await this.#end(run, name, address)
    if (noted) this.#parts.due.remove(noted)
  }

  /** Starts no more commands, and gives those that run a little time to end. What is due stays noted. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    const length = this.#waiting.splice(0).length + this.#behind
    if (length > 0) this.#parts.log.warn(`${length} commands of triggers were waiting and are not run`)
    const patience = new Promise(done => setTimeout(done, stopMilliseconds).unref())
    await Promise.race([Promise.all(this.#running), patience])
    this.#parts.due.close()
  }

  #awaitDue(): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    const now = this.#parts.now() / 1000
    for (const grant of this.#parts.due.takeUntil(now)) void this.#expire(grant)
    const next = this.#parts.due.next()
    if (next === Infinity) return
    this.#timer = setTimeout(
      () => {
        this.#awaitDue()
      },
      Math.min(Math.max(0, next - now) * 1000, maxWaitMilliseconds),
    )
  }

  // Noted until it has run: a command that a crash interrupts runs again.
  async #expire(grant: DueGrant): Promise<void> {
    const { credential: name, address, expires } = grant
    const credential = this.#credentials.get(name)
    if (credential?.triggers.expiry) {
      const run = this.#runFor('expiry', credential, address, expires)
      // However many wait: what was begun must be ended, and no more are due than were noted.
      if (run) await this.#end(run, name, address)
    } else {
      const message = `on-expiry for ${address} by ${name} is due, and the configuration has none any more`
      this.#parts.log.warn(message, { credential: name, source: address })
    }
    this.#parts.due.remove(grant)
  }

  /** The longest that something stays open. */
  #seconds({ opens, window }: Credential): number {
    if (window !== null) return window
    const windows = opens.flatMap(service => this.#services.get(service)?.window ?? [])
    return windows.length > 0 ? Math.max(...windows) : defaultWindowSeconds
  }

  /** Nothing where there is no command for the event, or none for addresses of this family. */
  #runFor(
    event: TriggerEvent,
    credential: Credential,
    address: string,
    expires: number | null,
  ): CommandRun | undefined {
    const trigger = credential.triggers[event]
    const command = trigger && (address.includes(':') ? trigger.command6 : trigger.command)
    if (!command) return undefined
    const names = [...credential.opens, ...credential.closes]
    const services = names.flatMap(service => this.#services.get(service) ?? [])
    return commandRun(event, credential.name, command, trigger, {
      ip: address,
      family: address.includes(':') ? '6' : '4',
      port: formatPorts(services.flatMap(({ ports }) => ports)),
      service: names.join(','),
      credential: credential.name,
      expires: expires === null ? 'never' : String(expires),
    })
  }

  #hasRoom({ name }: CommandRun, before: Promise<void> | undefined): boolean {
    const { triggersAtOnce, triggersWaiting } = this.#limits
    const waiting = this.#waiting.length + this.#behind
    const runsNow = this.#running.size < triggersAtOnce && before === undefined
    if (runsNow || waiting < triggersWaiting) return true
    this.#refuse(`${name} is not run: ${waiting} commands are waiting already`)
    return false
  }

  #refuse(message: string): void {
    if (!this.#refusals.pass(this.#parts.now() / 1000)) return
    const others = this.#refusals.takeSuppressed()
    this.#parts.log.error(others > 0 ? `${message}; and ${others} more since the last such message` : message)
  }

  /** Beside others that begin something, and after those that end it. */
  #begin(run: CommandRun, credential: string, address: string): Promise<void> {
    const { all, ends } = this.#rows.get(keyOf(credential, address)) ?? {}
    const done = this.#after(ends, run)
    this.#keepRow(keyOf(credential, address), { all: Promise.all([all, done]).then(() => undefined), ends })
    return done
  }

  /** What ends something for an address runs after what began it, however long that takes. */
  #end(run: CommandRun, credential: string, address: string): Promise<void> {
    const done = this.#after(this.#rows.get(keyOf(credential, address))?.all, run)
    this.#keepRow(keyOf(credential, address), { all: done, ends: done })
    return done
  }

  #keepRow(key: string, row: Row): void {
    this.#rows.set(key, row)
    void row.all.then(() => {
      if (this.#rows.get(key) === row) this.#rows.delete(key)
    })
  }

  async #after(before: Promise<void> | undefined, run: CommandRun): Promise<void> {
    if (before) {
      this.#behind++
      await before
      this.#behind--
    }
    await this.#inTurn(run)
  }

  #inTurn(run: CommandRun): Promise<void> {
    // What waited for another one stays noted, and is never done here.
    if (this.#stopped) return new Promise(() => undefined)
    if (this.#running.size < this.#limits.triggersAtOnce) return this.#run(run)
    return new Promise(resolve => {
      this.#waiting.push(() => void this.#run(run).then(resolve))
    })
  }

  async #run(run: CommandRun): Promise<void> {
    const running = this.#parts.run(run)
    this.#running.add(running)
    await running
    this.#running.delete(running)
    this.#waiting.shift()?.()
  }
}

const keyOf = (credential: string, address: string) => `${credential} ${address}`

interface Row {
  /** Resolves when all of its commands have ended. */
  readonly all: Promise<void>
  /** Resolves when those have ended that end something. */
  readonly ends: Promise<void> | undefined
}

type Replacements = Readonly<Record<'ip' | 'family' | 'port' | 'service' | 'credential' | 'expires', string>>

function commandRun(
  event: TriggerEvent,
  credential: string,
  command: Command,
  { user, group, timeout }: Trigger,
  values: Replacements,
): CommandRun {
  const fill = (text: string) =>
    text.replace(/\{(ip|family|port|service|credential|expires)\}|%IP%/g, (_, name: keyof Replacements | undefined) => {
      return values[name ?? 'ip']
    })
  const argv = 'argv' in command ? command.argv.map(fill) : ['/bin/sh', '-c', fill(command.shell)]
  const environment = Object.fromEntries(
    Object.entries({ event, ...values }).map(([name, value]) => [`PKCTL_${name.toUpperCase()}`, value]),
  )
  return { name: `on-${event} of ${credential}`, argv, environment, user, group, timeout }
}

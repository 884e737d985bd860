/**
 * Decides which commands follow a knock and when: when it opens, when it closes, and when the grant has expired. The expiry
 * is on disk before the first of them runs, so that what a knock began is also ended after a restart.
 * src/daemon/run-trigger.ts starts the processes.
 */
import type { Credential } from '../../config/types.js'
import type { ServiceSpec } from '../../nft/index.js'
import { count } from '../../util/index.js'
import type { QueueLimits, RunCommand } from './trigger-queue.js'
import { TriggerQueue } from './trigger-queue.js'
import { EventLimiter } from '../report/event-limiter.js'
import type { DueGrant, DueTriggers } from './due-triggers.js'
import type { Log } from '../report/log-interface.js'
import type { CommandRun } from './trigger-command.js'
import { triggerCommand } from './trigger-command.js'

interface TriggersParts {
  readonly log: Log
  readonly due: DueTriggers
  readonly run: RunCommand
  /** Unix milliseconds. */
  readonly now: () => number
}

/** The window where neither the credential nor a service has one. */
const defaultWindowSeconds = 60
/** Each is a line of a file, and some hundred bytes of memory. */
const maxDue = 100_000
/** The clock may be set ahead in the meantime, as on a machine without a battery-backed clock. */
const maxWaitMilliseconds = 30_000
/** Sources can be forged: commands that are not run must not fill the log. */
const refusalsPerSecond = 5

export class TriggerSchedule {
  readonly #parts: TriggersParts
  readonly #queue: TriggerQueue
  readonly #refusals = new EventLimiter(refusalsPerSecond)
  #credentials: ReadonlyMap<string, Credential> = new Map()
  #services: ReadonlyMap<string, ServiceSpec> = new Map()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(parts: TriggersParts) {
    this.#parts = parts
    this.#queue = new TriggerQueue(parts.run)
  }

  /** Uses this configuration from now on. The first time, it runs what expired while no daemon ran. */
  configure(credentials: readonly Credential[], services: ReadonlyMap<string, ServiceSpec>, limits: QueueLimits): void {
    this.#credentials = new Map(credentials.map(credential => [credential.name, credential]))
    this.#services = services
    this.#queue.limits = limits
    this.#awaitDue()
  }

  /** A knock gave `address` a grant, for `asked` seconds where it asked for a time of its own. */
  opened(name: string, address: string, asked?: number | null): void {
    const credential = this.#credentials.get(name)
    if (!credential) return
    const seconds = asked ?? this.#grantSeconds(credential)
    const expires = seconds === Infinity ? null : this.#now() + seconds
    const run = triggerCommand('open', credential, this.#services, address, expires)
    if (run && !this.#queue.hasRoomToBegin(keyOf(name, address))) {
      this.#refuseFull(run)
      return
    }
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
    if (run) void this.#queue.begin(keyOf(name, address), run)
  }

  /** A knock revoked the grant of `address`. */
  closed(name: string, address: string): void {
    const credential = this.#credentials.get(name)
    if (!credential) return
    const { due } = this.#parts
    const stored = due.get(name, address)
    if (credential.triggers.close) {
      const run = triggerCommand('close', credential, this.#services, address, this.#now())
      // Where on-close is not run, on-expiry stays due and ends what was begun.
      if (run && !this.#queue.hasRoomToEnd(keyOf(name, address))) {
        this.#refuseFull(run)
        return
      }
      if (stored) due.take(stored)
      void this.#close(run, stored, name, address)
    } else if (stored) {
      due.take(stored)
      void this.#expire(stored)
    }
  }

  // Stored until the command has run: if it never does, on-expiry ends what was begun.
  async #close(run: CommandRun | undefined, stored: DueGrant | undefined, name: string, address: string) {
    if (run) await this.#queue.end(keyOf(name, address), run)
    if (stored) this.#parts.due.remove(stored)
  }

  /** Starts no more commands, and gives those that run a little time to end. What is due stays stored. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    await this.#queue.stop(waiting => {
      this.#parts.log.warn(`not run: ${count(waiting, 'waiting trigger command')}`)
    })
    this.#parts.due.close()
  }

  /** Unix seconds, whole. */
  #now(): number {
    return Math.floor(this.#parts.now() / 1000)
  }

  #awaitDue(): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
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

  // Stored until the command has run: after a crash it runs again.
  async #expire(grant: DueGrant): Promise<void> {
    const { credential: name, address, expires } = grant
    const credential = this.#credentials.get(name)
    if (credential?.triggers.expiry) {
      const run = triggerCommand('expiry', credential, this.#services, address, expires)
      // However many wait: what was begun must be ended, and the number of grants that are due is limited.
      if (run) await this.#queue.end(keyOf(name, address), run)
    } else {
      const message = `on-expiry for ${address} by ${name} is due, and the configuration has none any more`
      this.#parts.log.warn(message, { credential: name, source: address })
    }
    this.#parts.due.remove(grant)
  }

  /** The longest time that a service stays open. */
  #grantSeconds({ opens, window }: Credential): number {
    if (window !== null) return window
    const windows = opens.flatMap(service => this.#services.get(service)?.window ?? [])
    return windows.length > 0 ? Math.max(...windows) : defaultWindowSeconds
  }

  #refuseFull({ name }: CommandRun): void {
    this.#refuse(`${name} is not run: no more than ${count(this.#queue.length, 'command')} can wait`)
  }

  #refuse(message: string): void {
    if (!this.#refusals.pass(this.#parts.now() / 1000)) return
    const others = this.#refusals.takeSuppressed()
    this.#parts.log.error(others > 0 ? `${message}; and ${others} more since the last such message` : message)
  }
}

const keyOf = (credential: string, address: string) => `${credential} ${address}`

/**
 * Tells people, or programs, of what the log has of events: by commands and webhooks. Nothing waits for it, and each event is
 * told once in a time, whatever happens again and again.
 */
import type { NotifyTarget } from '../../config/types.js'
import { notifyEvents } from '../../config/types.js'
import type { Log, LogFields, LogLevel } from '../../controller/index.js'
import type { TryCommand } from '../run-trigger.js'
import type { Notification } from './notification.js'
import type { sendWebhook } from './webhook.js'

interface NotifierParts {
  readonly run: TryCommand
  readonly send: typeof sendWebhook
  /** Not that which calls `add`: a notification that fails must not cause another one. */
  readonly log: Log
  /** Unix milliseconds. */
  readonly now: () => number
}

/** What holds an event of a target back. */
interface Hold {
  readonly timer: NodeJS.Timeout
  last: Notification | undefined
  suppressed: number
}

/** Events by which those who may come in are kept out. */
const lockoutRisks: ReadonlySet<unknown> = new Set(['knock-not-granted', 'grants-missing', 'reload-refused'])

/** A webhook that does not answer must not pile up what it did not take. */
const maxUnderWay = 4
const failureMilliseconds = 600_000

export class Notifier {
  #targets: readonly NotifyTarget[] = []
  readonly #holds = new Map<string, Hold>()
  readonly #underWay = new Map<string, number>()
  /** By target: when its last failure was logged. */
  readonly #failedAt = new Map<string, number>()

  constructor(readonly parts: NotifierParts) {}

  /** Tells these from now on. What is held back for others is dropped. */
  use(targets: readonly NotifyTarget[]): void {
    this.stop()
    this.#targets = targets
  }

  stop(): void {
    for (const { timer } of this.#holds.values()) clearTimeout(timer)
    this.#holds.clear()
  }

  add(level: LogLevel, message: string, { event }: LogFields): void {
    const known = lockoutRisks.has(event) ? 'lockout-risk' : notifyEvents.find(one => one === event)
    if (known === undefined) return
    const notification = { event: known, level, message, time: new Date(this.parts.now()).toISOString(), suppressed: 0 }
    for (const target of this.#targets) if (target.events.includes(known)) this.#tell(target, notification)
  }

  #tell(target: NotifyTarget, notification: Notification): void {
    const key = `${target.name} ${notification.event}`
    const hold = this.#holds.get(key)
    if (hold) {
      hold.suppressed++
      hold.last = notification
      return
    }
    this.#holdBack(key, target)
    void this.#deliver(target, notification)
  }

  #holdBack(key: string, target: NotifyTarget): void {
    const timer = setTimeout(() => {
      const { last, suppressed } = this.#holds.get(key) ?? {}
      this.#holds.delete(key)
      if (!last || suppressed === undefined) return
      this.#holdBack(key, target)
      void this.#deliver(target, { ...last, suppressed: suppressed - 1 })
    }, target.everySeconds * 1000)
    timer.unref()
    this.#holds.set(key, { timer, last: undefined, suppressed: 0 })
  }

  async #deliver(target: NotifyTarget, notification: Notification): Promise<void> {
    const { name } = target
    const underWay = this.#underWay.get(name) ?? 0
    if (underWay >= maxUnderWay) {
      this.#failed(name, 'earlier ones have not ended')
      return
    }
    this.#underWay.set(name, underWay + 1)
    try {
      if ('webhook' in target) await this.parts.send(target.webhook, target.timeoutSeconds, notification)
      else {
        const problem = await this.#run(target, notification)
        if (problem !== undefined) this.#failed(name, problem)
      }
    } catch (error) {
      this.#failed(name, (error as Error).message)
    } finally {
      this.#underWay.set(name, (this.#underWay.get(name) ?? 1) - 1)
    }
  }

  #run(
    target: Extract<NotifyTarget, { run: unknown }>,
    { event, message, suppressed }: Notification,
  ): Promise<string | undefined> {
    const { name, run, user, group, timeoutSeconds: timeout } = target
    const fill = (text: string) =>
      text.replace(/\{(event|message)\}/g, (_, which) => (which === 'event' ? event : message))
    // A message has words of others: it is no part of a line for a shell.
    const argv = 'argv' in run ? run.argv.map(fill) : ['/bin/sh', '-c', run.shell]
    const environment = { PKCTL_EVENT: event, PKCTL_MESSAGE: message, PKCTL_SUPPRESSED: String(suppressed) }
    return this.parts.run({ name: `notify ${name}`, argv, environment, user, group, timeout })
  }

  #failed(name: string, reason: string): void {
    const now = this.parts.now()
    if (now - (this.#failedAt.get(name) ?? -Infinity) < failureMilliseconds) return
    this.#failedAt.set(name, now)
    this.parts.log.warn(`notify ${name} failed: ${reason}`)
  }
}

/** The log, of which each message with an event is told as well, whatever the level of the log. */
export function withNotifications<T extends Log>(log: T, notifier: Notifier): T {
  const both = (level: LogLevel) => (message: string, fields?: LogFields) => {
    log[level](message, fields)
    if (fields) notifier.add(level, message, fields)
  }
  return { ...log, error: both('error'), warn: both('warn'), info: both('info'), debug: both('debug') }
}

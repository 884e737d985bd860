/** What the log says of a fleet that is wrong, at most once a minute for each subject, and how often messages did not count. */
import type { FleetRefusal } from './fleet-status.js'

export type FleetReport = (
  level: 'warn' | 'info' | 'debug',
  message: string,
  fields?: Readonly<Record<string, string | number>>,
) => void

const tellAgainMilliseconds = 60_000

export class Complaints {
  readonly #report: FleetReport
  readonly #refused = new Map<FleetRefusal, number>()
  readonly #toldAt = new Map<string, number>()

  constructor(report: FleetReport) {
    this.#report = report
  }

  /** How many messages did not count, by reason. */
  get refused(): Partial<Record<FleetRefusal, number>> {
    return Object.fromEntries(this.#refused)
  }

  /** A message does not count; `node` is who has made it, where that is known. */
  refuse(reason: FleetRefusal, node: string | undefined): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1)
    // What is over was told in time, and what is not accepted was not meant for this server.
    if (reason === 'over' || reason === 'not-accepted') return
    const whose = node === undefined ? '' : ` of ${node}`
    this.tell(reason, `a message${whose} in the engine of the fleet was refused: ${reason}`, { reason })
  }

  tell(subject: string, message: string, fields: Record<string, string> = {}): void {
    const now = performance.now()
    const before = this.#toldAt.get(subject)
    if (before !== undefined && now - before < tellAgainMilliseconds) return
    this.#toldAt.set(subject, now)
    this.#report('warn', message, { event: 'fleet', ...fields })
  }
}

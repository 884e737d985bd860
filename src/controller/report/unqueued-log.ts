/**
 * Says at debug how many packets came that may be meant as knocks and did not leave the kernel. Its rules count them, and each
 * comparison of the table sees how far they are: the packets themselves cost the daemon nothing.
 */
import type { UnqueuedPackets } from '../../nft/index.js'
import { count } from '../../util/index.js'
import type { Log } from './log-interface.js'

/** Comparisons come every ten seconds, and more often while other programs change the ruleset. */
const everyMilliseconds = 9_000

const kinds = {
  'no-credential': 'with an unknown tag, or for a port or interface of no credential',
  'other-minute': 'of the wrong minute, or for another server',
} as const

export class UnqueuedLog {
  /** How far each rule was. Each installation makes rules with numbers of their own, which begin at zero. */
  #seen: ReadonlyMap<string, number> = new Map()
  readonly #untold = { 'no-credential': 0, 'other-minute': 0 }
  #toldAt = -Infinity

  constructor(
    readonly log: Pick<Log, 'debug'>,
    /** Milliseconds. */
    readonly now: () => number,
  ) {}

  /** Gets what the rules have counted; nothing, where that was not looked at. */
  note(unqueued: readonly UnqueuedPackets[]): void {
    if (unqueued.length === 0) return
    for (const { rule, kind, packets } of unqueued) this.#untold[kind] += packets - (this.#seen.get(rule) ?? 0)
    this.#seen = new Map(unqueued.map(({ rule, packets }) => [rule, packets]))
    if (this.now() - this.#toldAt < everyMilliseconds) return
    for (const kind of ['no-credential', 'other-minute'] as const) this.#tell(kind)
  }

  #tell(kind: UnqueuedPackets['kind']): void {
    const packets = this.#untold[kind]
    if (packets === 0) return
    this.#untold[kind] = 0
    this.#toldAt = this.now()
    const what = `${count(packets, 'packet')} ${kinds[kind]}`
    this.log.debug(`not queued: ${what}; other UDP as long as a knock counts, too`)
  }
}

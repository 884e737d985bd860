/** Writes to the log what knocks led to and, on request, which grants and sequences there are. */
import type { Firewall } from '../../nft/index.js'
import { count } from '../../util/index.js'
import { partOf } from '../verify/requested-part.js'
import type { GrantConfirmation, Grants } from '../grants/grant-confirmation.js'
import type { KnockEvent, SequenceProgress, Suppressed } from './knock-events.js'
import type { Log } from './log-interface.js'
import type { KnockOutcome } from './knock-messages.js'
import { knockMessage } from './knock-messages.js'
import type { OnBehalfGrants } from '../grants/on-behalf-grants.js'

/** What became of what one knock was given: for its source or in its place, and for the address beside it. */
interface Outcomes {
  readonly own?: KnockOutcome | undefined
  readonly also?: KnockOutcome | undefined
}

export class Reporter {
  /** The last message that waits for what the kernel has done; those behind it wait as well. */
  #last: Promise<void> | undefined

  /** `grantsOf` gives what a credential opens. */
  constructor(
    readonly log: Log,
    readonly grantsOf: (credential: string) => Grants | undefined,
    readonly confirmation: Pick<GrantConfirmation, 'confirm' | 'skip'>,
    /** Those on behalf of others, and parts of what a credential opens, are made by commands. */
    readonly byCommand: Pick<OnBehalfGrants, 'outcome'>,
  ) {}

  knocks(events: readonly KnockEvent[], suppressed: Suppressed): void {
    for (const event of events) {
      const grants = partOf(this.grantsOf(event.credential ?? '') ?? [], event.part)
      const own = this.#outcomeOf(event, grants)
      const also = this.#requested(event, event.also)
      const outcomes = own || also ? Promise.all([own, also]).then(([own, also]) => ({ own, also })) : undefined
      this.#write(outcomes, ({ own, also } = {}) => {
        const { level, message, fields } = knockMessage(event, grants, own, also)
        this.log[level](message, fields)
      })
    }
    this.confirmation.skip(suppressed.grants)
    this.#write(undefined, () => {
      this.#suppressed(suppressed)
    })
  }

  /** What becomes of what the source gets or loses, or another address in its place; undefined where nothing tells. */
  #outcomeOf(event: KnockEvent, grants: Grants): Promise<KnockOutcome> | undefined {
    const { kind, onBehalfOf, part, byCommand, source } = event
    if (kind === 'refuse' || grants.length === 0) return undefined
    if (byCommand || onBehalfOf !== undefined || part) return this.#requested(event, onBehalfOf ?? source)
    return kind === 'grant' ? this.confirmation.confirm(source, grants) : undefined
  }

  #requested({ kind, credential, part }: KnockEvent, address: string | undefined): Promise<KnockOutcome> | undefined {
    if (kind === 'refuse' || address === undefined || credential === undefined) return undefined
    return this.byCommand.outcome({ kind, credential, address, part })
  }

  /** Resolves when all that was reported is written. */
  async settled(): Promise<void> {
    while (this.#last) await this.#last
  }

  /** In the order of the calls; at once, where nothing waits. */
  #write(outcomes: Promise<Outcomes> | undefined, write: (outcomes?: Outcomes) => void): void {
    if (!outcomes && !this.#last) {
      write()
      return
    }
    const written: Promise<void> = Promise.all([outcomes, this.#last]).then(([known]) => {
      if (this.#last === written) this.#last = undefined
      write(known)
    })
    this.#last = written
  }

  #suppressed({ unverified, others }: Suppressed): void {
    if (others > 0) this.log.info(`and ${count(others, 'more knock')}, too many to name`, { suppressed: others })
    if (unverified > 0) {
      const message = `and ${count(unverified, 'more invalid knock')}, too many to name`
      this.log.debug(message, { suppressed: unverified })
    }
  }

  async grants(firewall: Pick<Firewall, 'services'>): Promise<void> {
    const services = [...(await firewall.services()).values()]
    const grants = services.flatMap(({ spec, grants }) => grants.map(grant => ({ service: spec.name, ...grant })))
    this.log.info(count(grants.length, 'active grant'))
    for (const { service, source, secondsLeft } of grants) {
      const end = secondsLeft === null ? 'without a time limit' : `for ${secondsLeft} s`
      this.log.info(`${source} has access to ${service} ${end}`, { source, service })
    }
  }

  sequencesInProgress(sources: readonly SequenceProgress[]): void {
    this.log.info(`${count(sources.length, 'sequence')} in progress`)
    for (const { address, credential, made, of } of sources) {
      const message = `${address} has made ${made} of ${of} knocks of ${credential}`
      this.log.info(message, { source: address, credential })
    }
  }
}

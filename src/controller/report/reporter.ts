/** Writes to the log what knocks led to and, on request, which grants and sequences there are. */
import type { Firewall } from '../../nft/index.js'
import { count } from '../../util/index.js'
import { partOf } from '../verify/requested-part.js'
import type { Confirmation, GrantConfirmation, Grants } from '../grants/grant-confirmation.js'
import type { KnockEvent, SequenceProgress, Suppressed } from './knock-events.js'
import type { Log } from './log-interface.js'
import { knockMessage } from './knock-messages.js'

export class Reporter {
  /** The last message that waits for what the kernel has done; those behind it wait as well. */
  #last: Promise<void> | undefined

  /** `grantsOf` gives what a credential opens. */
  constructor(
    readonly log: Log,
    readonly grantsOf: (credential: string) => Grants | undefined,
    readonly confirmation: Pick<GrantConfirmation, 'confirm' | 'skip'>,
  ) {}

  knocks(events: readonly KnockEvent[], suppressed: Suppressed): void {
    for (const event of events) {
      const grants = partOf(this.grantsOf(event.credential ?? '') ?? [], event.part)
      // Those on behalf of others, and parts of what a credential opens, are made by commands, which say what fails.
      const isByMark = event.onBehalfOf === undefined && event.part === undefined
      const isMade = event.kind === 'grant' && isByMark && grants.length > 0
      const confirmed = isMade ? this.confirmation.confirm(event.source, grants) : undefined
      this.#write(confirmed, confirmation => {
        const { level, message, fields } = knockMessage(event, grants, confirmation)
        this.log[level](message, fields)
      })
    }
    this.confirmation.skip(suppressed.grants)
    this.#write(undefined, () => {
      this.#suppressed(suppressed)
    })
  }

  /** Resolves when all that was reported is written. */
  async settled(): Promise<void> {
    while (this.#last) await this.#last
  }

  /** In the order of the calls; at once, where nothing waits. */
  #write(confirmed: Promise<Confirmation> | undefined, write: (confirmation?: Confirmation) => void): void {
    if (!confirmed && !this.#last) {
      write()
      return
    }
    const written: Promise<void> = Promise.all([confirmed, this.#last]).then(([confirmation]) => {
      if (this.#last === written) this.#last = undefined
      write(confirmation)
    })
    this.#last = written
  }

  #suppressed({ unverified, others }: Suppressed): void {
    if (others > 0) this.log.info(`and ${others} more knocks, too many to name`, { suppressed: others })
    if (unverified > 0)
      this.log.debug(`and ${unverified} more invalid knocks, too many to name`, { suppressed: unverified })
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

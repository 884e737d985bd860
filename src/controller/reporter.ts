/** Writes to the log what knocks led to and, on request, which grants and sequences there are. */
import type { Firewall } from '../nft/index.js'
import { count } from '../util/index.js'
import type { KnockEvent, SequenceProgress, Suppressed } from './knock-events.js'
import type { Granted } from './log-messages.js'
import { knockMessage } from './log-messages.js'
import type { Log } from './log.js'

export class Reporter {
  /** `grantsOf` gives what a credential opens. */
  constructor(
    readonly log: Log,
    readonly grantsOf: (credential: string) => Granted | undefined,
  ) {}

  knocks(events: readonly KnockEvent[], { strangers, others }: Suppressed): void {
    for (const event of events) {
      const { level, message, fields } = knockMessage(event, this.grantsOf(event.credential ?? '') ?? [])
      this.log[level](message, fields)
    }
    if (others > 0) this.log.info(`and ${others} more knocks, too many to name`, { suppressed: others })
    if (strangers > 0) this.log.debug(`and ${strangers} more wrong knocks, too many to name`, { suppressed: strangers })
  }

  async grants(firewall: Pick<Firewall, 'services'>): Promise<void> {
    const services = [...(await firewall.services()).values()]
    const grants = services.flatMap(({ spec, grants }) => grants.map(grant => ({ service: spec.name, ...grant })))
    this.log.info(count(grants.length, 'active grant'))
    for (const { service, source, secondsLeft } of grants) {
      const end = secondsLeft === null ? 'without end' : `for ${secondsLeft} s`
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

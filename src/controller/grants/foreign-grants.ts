/**
 * Tells of grants that another program has made, taken back or changed, such as a person with nft. They stay as they are: who
 * may change rules may do so. Transactions of pkctl are signed, and told of by who made them.
 */
import type { RulesetTransaction } from '../../nft/index.js'
import { grantSetOf, isBarrier, isDeletion, isOurs } from '../../nft/index.js'
import { EventLimiter } from '../report/event-limiter.js'
import type { Log } from '../report/log-interface.js'
import { count } from '../../util/index.js'

/** Other programs may do it again and again. */
const linesPerSecond = 5
/** Sources that one line names. */
const named = 3

type Kind = 'granted' | 'revoked' | 'changed'

const sentence = {
  granted: (who: string, what: string, service: string) => `${who} has granted ${what} access to ${service}`,
  revoked: (who: string, what: string, service: string) => `${who} has revoked the grants of ${what} for ${service}`,
  changed: (who: string, what: string, service: string) => `${who} has changed the grants of ${what} for ${service}`,
} satisfies Record<Kind, unknown>

export class ForeignGrants {
  /** How many grants were made, taken back or changed. */
  count = 0
  readonly #lines = new EventLimiter(linesPerSecond)

  constructor(
    readonly log: Log,
    /** Seconds. */
    readonly monotonic: () => number,
  ) {}

  follow({ events, by }: RulesetTransaction): void {
    const ours = events.filter(isOurs)
    // With its table, pkctl gives grants again; and what comes or goes with the table of another program is drift.
    if (ours.some(event => isBarrier(event) || event.kind === 'table')) return
    for (const [service, sources] of changesIn(ours)) {
      for (const kind of ['granted', 'revoked', 'changed'] as const) {
        const some = [...sources].flatMap(([source, how]) => (how === kind ? [source] : []))
        if (some.length > 0) this.#tell(kind, by, service, some)
      }
    }
  }

  #tell(kind: Kind, by: string, service: string, sources: readonly string[]): void {
    this.count += sources.length
    if (!this.#lines.pass(this.monotonic())) return
    const who = by === '' ? 'another program' : by
    const more = sources.length > named ? ` and ${sources.length - named} more` : ''
    const suppressed = this.#lines.takeSuppressed()
    const others = suppressed > 0 ? `; and ${count(suppressed, 'such change')} before, too many to name` : ''
    const what = `${sources.slice(0, named).join(', ')}${more}`
    this.log.warn(`${sentence[kind](who, what, service)}, without pkctl${others}`, {
      ...{ event: 'foreign-grant', change: kind, service, sources: sources.slice(0, named) },
      ...(by === '' ? {} : { by }),
    })
  }
}

/** What became of which source, by service. A grant that goes and comes in one transaction is changed. */
function changesIn(events: RulesetTransaction['events']): Map<string, Map<string, Kind>> {
  const services = new Map<string, Map<string, Kind>>()
  for (const { kind, verb, name, elements } of events) {
    const service = grantSetOf(name)?.service
    if (kind !== 'element' || service === undefined) continue
    const sources = services.get(service) ?? new Map<string, Kind>()
    services.set(service, sources)
    for (const { value } of elements) {
      const isChange = sources.has(value)
      sources.set(value, isChange ? 'changed' : isDeletion(verb) ? 'revoked' : 'granted')
    }
  }
  return services
}

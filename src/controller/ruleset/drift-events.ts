/** Which events of the ruleset may be drift. */
import type { RulesetEvent } from '../../nft/index.js'
import { isBarrier, isComparedElement, isDeletion, isOurs } from '../../nft/index.js'

/** Grants come and go, and so do the sets that only the packet path fills. */
export const concernsTable = (event: RulesetEvent): boolean =>
  isOurs(event) && !isBarrier(event) && (event.kind !== 'element' || isComparedElement(event.name))

export const deletesTable = (event: RulesetEvent): boolean =>
  isOurs(event) && event.kind === 'table' && isDeletion(event.verb)

/** Rules of others come and go there as well; only ours can be missing. */
export const concernsQueueRule = ({ verb, family, table }: RulesetEvent): boolean =>
  isDeletion(verb) && table === 'mangle' && (family === 'ip' || family === 'ip6')

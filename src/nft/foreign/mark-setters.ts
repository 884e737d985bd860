/** Rules of other programs that may set certain bits of the packet mark before pkctl has read them. */
import type { RuleChain } from './rule.js'

/**
 * The base chains from which such rules are reached. `mask`: the bits of pkctl; `hook` and `priority`: where it reads
 * them. Restoring the mark of a connection counts as setting all bits that are restored.
 */
export function markSetters(
  chains: readonly RuleChain[],
  { mask, hook, priority }: { readonly mask: number; readonly hook: string; readonly priority: number },
): RuleChain[] {
  const isBefore = ({ base }: RuleChain) =>
    base?.hook === hook ? base.priority <= priority : base?.hook === 'prerouting' && hook === 'input'
  return chains.filter(chain => {
    // Its tables restore a number on replies to its own port, and compare it whole.
    if (!isBefore(chain) || chain.table.startsWith('wg-quick-')) return false
    const reached = chains
      .filter(({ family, table }) => family === chain.family && table === chain.table)
      .flatMap(one => (one === chain || !one.base ? one.rules : []))
    const actions = reached.flatMap(rule => rule.actions)
    return actions.some(action => action.kind === 'mark' && (action.bits & mask) !== 0)
  })
}

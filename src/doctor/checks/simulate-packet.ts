/**
 * What the rules of others do to a packet that begins a connection. Rules ask for more than protocol and port; where
 * they do, the answer is that they may. Nothing here knows of pkctl's own table.
 */
import type { Rule, RuleChain } from '../../nft/foreign/index.js'

export interface Probe {
  readonly protocol: number
  /** Null for a port that is not known. */
  readonly port: number | null
}

export interface Passage {
  /** Whether some packets of this sort may be accepted, or go on behind the chain's last rule. */
  readonly accepts: boolean
  readonly falls: boolean
  /** A rule for just this port drops: all that come to it, or some. */
  readonly dropsByPort: 'all' | 'some' | null
  /** Whether a rule for whatever port drops all that come to it. */
  readonly dropsAll: boolean
  /** What else happens to it on the way. */
  readonly reached: readonly Rule[]
}

type Match = 'yes' | 'no' | 'some'

function matchOf(rule: Rule, { protocol, port }: Probe): Match {
  let match: Match = 'yes'
  for (const condition of rule.conditions) {
    if (condition.kind === 'never') return 'no'
    if (condition.kind === 'protocol') {
      if (condition.numbers.includes(protocol) === condition.not) return 'no'
    } else if (condition.kind === 'port' && port !== null) {
      const inside = condition.ranges.some(({ first, last }) => first <= port && port <= last)
      if (inside === condition.not) return 'no'
    } else match = 'some'
  }
  return match
}

const namesPort = (rule: Rule) =>
  rule.conditions.some(({ kind, ...rest }) => kind === 'port' && !('not' in rest && rest.not))
const maxDepth = 16

/** Follows the packet through a base chain and the chains to which it leads. */
export function passageThrough(base: RuleChain, chains: readonly RuleChain[], probe: Probe): Passage {
  const find = (name: string) =>
    chains.find(chain => chain.family === base.family && chain.table === base.table && chain.name === name)
  const reached: Rule[] = []
  let accepts = false
  let dropsByPort: Passage['dropsByPort'] = null
  let dropsAll = false

  /** Whether some of the packets come out at the chain's end. */
  function walk({ rules }: RuleChain, conditional: boolean, named: boolean, depth: number): boolean {
    for (const rule of rules) {
      const match = matchOf(rule, probe)
      if (match === 'no') continue
      reached.push(rule)
      const onlySome = conditional || match === 'some'
      const byPort = named || namesPort(rule)
      for (const action of rule.actions) {
        if (action.kind === 'accept') accepts = true
        if (action.kind === 'drop') {
          if (byPort && dropsByPort !== 'all') dropsByPort = onlySome ? 'some' : 'all'
          if (!onlySome) dropsAll = true
        }
        let comesBack = action.kind === 'mark'
        if (action.kind === 'jump' || action.kind === 'goto') {
          const target = depth < maxDepth ? find(action.chain) : undefined
          comesBack = target === undefined || walk(target, onlySome, byPort, depth + 1)
          // After a goto the packet goes on where this chain was called.
          if (action.kind === 'goto' && comesBack && match === 'yes') return true
        }
        if (action.kind === 'return' && match === 'yes') return true
        if (match === 'yes' && !comesBack) return false
      }
    }
    return true
  }

  const falls = walk(base, false, false, 0)
  return { accepts, falls, dropsByPort, dropsAll, reached }
}

/**
 * What the rules of others do to a packet that begins a connection. Rules ask for more than protocol and port; where
 * they do, the answer is for how many of such packets it holds. Nothing here knows of pkctl's own table.
 */
import { familyOf, prefixContains } from '../../net/index.js'
import type { Condition, Rule, RuleChain } from '../../nft/foreign/index.js'

export interface Probe {
  readonly protocol: number
  /** Null for a port that is not known. */
  readonly port: number | null
  /** The interface by which it comes in, where that is known. */
  readonly interface?: string | undefined
  /** The address from which it comes, where that is known. */
  readonly source?: string | undefined
  /** Whether DNAT has led it to this port. */
  readonly translated?: boolean
}

/** For which sources something holds: maybe for all, or not for more than certain ones. */
export type Reach = 'everyone' | 'some' | 'nobody'

/** A rule on the way of the packet. */
export interface RuleOnWay {
  readonly rule: Rule
  /** Whether this rule, or one that led to it, is for just this port. */
  readonly named: boolean
  /** Whether all packets of this sort come to it and match. */
  readonly sure: boolean
}

export interface Passage {
  /** Who is accepted, or led elsewhere; and who goes on behind the chain's last rule. */
  readonly accepts: Reach
  readonly falls: Reach
  /** A rule for just this port drops: all that come to it, or some. */
  readonly dropsByPort: 'all' | 'some' | null
  readonly reached: readonly RuleOnWay[]
}

export const larger = (a: Reach, b: Reach): Reach =>
  a === 'everyone' || b === 'everyone' ? 'everyone' : a === 'some' || b === 'some' ? 'some' : 'nobody'

const smaller = (a: Reach, b: Reach): Reach =>
  a === 'nobody' || b === 'nobody' ? 'nobody' : a === 'some' || b === 'some' ? 'some' : 'everyone'

/** Whether a rule is for all packets of the sort, and for whom it is. */
interface Match {
  readonly sure: boolean
  readonly reach: Reach
  /** Those for whom it is not. */
  readonly rest: Reach
}

const all: Match = { sure: true, reach: 'everyone', rest: 'nobody' }
const none: Match = { sure: false, reach: 'nobody', rest: 'everyone' }
const unknown: Match = { sure: false, reach: 'everyone', rest: 'everyone' }

function matchOf(rule: Rule, probe: Probe, addresses: readonly string[]): Match {
  const matches = rule.conditions.map(condition => conditionMatch(condition, probe, addresses))
  if (matches.includes(none)) return none
  const open = matches.filter(match => match !== all)
  if (open.length < 2) return open[0] ?? all
  return { sure: false, reach: open.map(({ reach }) => reach).reduce(smaller), rest: 'everyone' }
}

function conditionMatch(condition: Condition, probe: Probe, addresses: readonly string[]): Match {
  const asked = (holds: boolean): Match => ('not' in condition && holds === condition.not ? none : all)
  switch (condition.kind) {
    case 'never':
      return none
    case 'protocol':
      return asked(condition.numbers.includes(probe.protocol))
    case 'port': {
      const { port } = probe
      return port === null ? unknown : asked(condition.ranges.some(({ first, last }) => first <= port && port <= last))
    }
    case 'translated':
      return asked(probe.translated === true)
    case 'interface': {
      const { names } = condition
      if (names.every(name => name === 'lo')) return asked(false)
      const { interface: own } = probe
      return own === undefined ? unknown : asked(names.some(name => isNamed(own, name)))
    }
    case 'destination': {
      const hits = addresses.filter(address => condition.prefixes.some(prefix => prefixContains(prefix, address)))
      return addresses.length === 0 || (hits.length > 0 && hits.length < addresses.length)
        ? unknown
        : asked(hits.length > 0)
    }
    case 'source': {
      const { version, prefixes } = condition
      if (probe.source !== undefined && version !== undefined && prefixes) {
        const { source } = probe
        // A rule that names addresses of one version is for packets of that version, also where it says `!=`.
        return familyOf(source) === version ? asked(prefixes.some(prefix => prefixContains(prefix, source))) : none
      }
      if (condition.not) return { sure: false, reach: 'everyone', rest: condition.empty ? 'nobody' : 'some' }
      return { sure: false, reach: condition.empty ? 'nobody' : 'some', rest: 'everyone' }
    }
    case 'rate':
    case 'some':
      return unknown
  }
}

const isNamed = (name: string, pattern: string) =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern

const namesPort = (rule: Rule) => rule.conditions.some(condition => condition.kind === 'port' && !condition.not)
const maxDepth = 16

/**
 * Follows the packet through a base chain and the chains to which it leads. `addresses` are those of the machine, as far
 * as they are known.
 */
export function passageThrough(
  base: RuleChain,
  chains: readonly RuleChain[],
  probe: Probe,
  addresses: readonly string[] = [],
): Passage {
  const find = (name: string) =>
    chains.find(chain => chain.family === base.family && chain.table === base.table && chain.name === name)
  const reached: RuleOnWay[] = []
  let accepts: Reach = 'nobody'
  let dropsByPort: Passage['dropsByPort'] = null

  /** What came of each chain, by who came in and how: many jumps may lead to one, and its chains to others. */
  const known = new Map<RuleChain, Map<string, Reach>>()

  function enter(chain: RuleChain, came: Reach, sure: boolean, named: boolean, depth: number): Reach {
    const results = known.get(chain) ?? new Map<string, Reach>()
    known.set(chain, results)
    const key = `${came} ${sure} ${named}`
    const result = results.get(key)
    if (result !== undefined) return result
    // A chain that leads to itself, which the kernel refuses, is passed through.
    results.set(key, came)
    const out = walk(chain, came, sure, named, depth)
    results.set(key, out)
    return out
  }

  /** Who comes out at the chain's end, of those who come in. `sure`: all packets of the sort do. */
  function walk({ rules }: RuleChain, came: Reach, sure: boolean, named: boolean, depth: number): Reach {
    let here = came
    let out: Reach = 'nobody'
    for (const rule of rules) {
      const match = matchOf(rule, probe, addresses)
      if (match === none) continue
      const isSure = sure && match.sure
      const byPort = named || namesPort(rule)
      reached.push({ rule, named: byPort, sure: isSure })
      const matching = smaller(here, match.reach)
      for (const action of rule.actions) {
        let comesBack: Reach = 'nobody'
        switch (action.kind) {
          case 'mark':
            continue
          case 'drop':
            if (byPort && dropsByPort !== 'all') dropsByPort = isSure ? 'all' : 'some'
            break
          case 'return':
            out = larger(out, matching)
            break
          case 'jump':
          case 'goto': {
            const target = depth < maxDepth ? find(action.chain) : undefined
            comesBack = target ? enter(target, matching, isSure, byPort, depth + 1) : matching
            // After a goto the packet goes on where this chain was called.
            if (action.kind === 'goto') {
              out = larger(out, comesBack)
              comesBack = 'nobody'
            }
            break
          }
          default:
            accepts = larger(accepts, matching)
        }
        here = match.sure ? comesBack : larger(comesBack, smaller(here, match.rest))
        if (here === 'nobody') return out
      }
    }
    return larger(out, here)
  }

  const falls = enter(base, 'everyone', true, false, 0)
  return { accepts, falls, dropsByPort, reached }
}

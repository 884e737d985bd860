/** What pkctl's table was like when it was as it should be: the chains, rules and elements that only pkctl changes. */
import type { Command, Hook } from '../nft-json.js'
import type { ListedChain, ListedRule, ListedSet, Listing } from '../listing.js'
import { asObject, asText } from '../listing.js'
import { onwardChain } from '../table/incoming-interface.js'
import { gateOf, hooks, isAnswerRule, isPortMap, lookupRules } from '../table/gate.js'
import { grantMap } from '../table/grant-chain.js'
import { filledByCommand } from '../table/sequence-rules.js'
import { isAllowSet } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { serviceChain } from '../table/service-spec.js'
import { periodChains } from '../table/periods.js'
import { readServices } from './service-state.js'

export interface Snapshot {
  /** The table's number. */
  readonly table: number
  /** Chains of the packet path. */
  readonly path: ReadonlyMap<string, ChainSnapshot>
  /** What the maps and sets of the packet path contain that only commands change. */
  readonly lookups: ReadonlyMap<string, string>
  readonly gates: ReadonlyMap<Hook, readonly RuleSnapshot[]>
  /** The first rule of the gate on the packet path's hook. */
  readonly answers: ReadonlyMap<Hook, RuleSnapshot>
  readonly services: ReadonlyMap<string, ServiceSnapshot>
}

interface ChainSnapshot {
  readonly base: string
  readonly rules: readonly RuleSnapshot[]
}

export interface ServiceSnapshot {
  readonly spec: ServiceSpec
  readonly rules: readonly RuleSnapshot[]
}

/** A rule that takes the place of another has its number, but another text. */
export interface RuleSnapshot {
  readonly handle: number
  readonly text: string
}

const isComparedMap = (name: string) => isPortMap(name) || name === grantMap
const isComparedSet = (name: string) => isAllowSet(name) || pathSets.has(name)

/** The sets and maps whose contents a comparison looks at, besides chains and rules. */
export const comparedMaps = (listing: Listing): string[] => [...listing.maps.keys()].filter(isComparedMap)
export const comparedSets = (listing: Listing): string[] => [...listing.sets.keys()].filter(isComparedSet)

const pathSets = new Set(filledByCommand)

/** Whether a comparison looks at the elements of the set or map of this name. */
export const isComparedElement = (name: string): boolean => isComparedMap(name) || isComparedSet(name)

/**
 * The chain for what is routed onward belongs to services: whether it is valid, `sound` of these says. What is in the chains
 * of windows changes with time, and is written again at each turn.
 */
const isPath = (chain: string) =>
  !chain.startsWith('pk-') && !chain.startsWith('gate-') && chain !== onwardChain && !periodChains.includes(chain)

/**
 * Takes a snapshot of what these commands have made, where `services` is what there should be. What differs from that
 * already is left out, and so will be found to have drifted.
 */
export function takeSnapshot(
  listing: Listing,
  commands: readonly Command[],
  services: ReadonlyMap<string, ServiceSpec>,
): Snapshot {
  const states = readServices(listing)
  const wanted = rulesIn(commands)
  const path = [...wanted]
    .filter(([name]) => isPath(name))
    .map(([name, count]): [string, ChainSnapshot] => {
      const chain = listing.chains.get(name)
      return [name, chain?.rules.length === count ? chainSnapshot(chain) : { base: 'other', rules: [] }]
    })
  return {
    table: listing.handle,
    path: new Map(path),
    lookups: lookupsOf(listing),
    gates: gatesOf(listing),
    answers: answersIn(commands, listing),
    services: new Map(
      [...services].map(([name, spec]) => {
        const state = states.get(name)
        return [name, state?.sound ? { spec: state.spec, rules: rulesOf(name, listing) } : { spec, rules: [] }]
      }),
    ),
  }
}

export const rulesOf = (service: string, listing: Listing) =>
  (listing.chains.get(serviceChain(service))?.rules ?? []).map(ruleSnapshot)

export const gatesOf = (listing: Listing): ReadonlyMap<Hook, readonly RuleSnapshot[]> =>
  new Map(
    hooks.flatMap(hook => {
      const gate = listing.chains.get(gateOf(hook))
      return gate ? [[hook, lookupRules(gate).map(ruleSnapshot)] as const] : []
    }),
  )

export const answersOf = (gate: ListedChain) => gate.rules.filter(isAnswerRule).map(ruleSnapshot)

/** The rules by which gates send answers to the packet path, as far as these commands make any. */
function answersIn(commands: readonly Command[], listing: Listing): ReadonlyMap<Hook, RuleSnapshot> {
  const inserted = new Set(commands.map(({ insert }) => asText(asObject(asObject(insert)['rule'])['chain'])))
  return new Map(
    hooks
      .filter(hook => inserted.has(gateOf(hook)))
      .map(hook => {
        const gate = listing.chains.get(gateOf(hook))
        return [hook, (gate && answersOf(gate)[0]) ?? { handle: 0, text: '' }] as const
      }),
  )
}

export const chainSnapshot = ({ base = '', rules }: ListedChain): ChainSnapshot => ({
  base,
  rules: rules.map(ruleSnapshot),
})

export const ruleSnapshot = ({ handle, expr }: ListedRule): RuleSnapshot => ({
  handle,
  text: JSON.stringify(expr).replaceAll(/"(packets|bytes)":\d+/g, '"$1"'),
})

export function lookupsOf(listing: Listing): Map<string, string> {
  const sets = [listing.maps.get(grantMap), ...[...pathSets].map(name => listing.sets.get(name))]
  const there = sets.filter((set): set is ListedSet => set !== undefined)
  return new Map(
    there.map(({ name, elements }) => {
      const texts = elements.map(({ value, target }) => JSON.stringify([value, target]))
      return [name, texts.sort().join()]
    }),
  )
}

/** How many rules each chain has after these commands, as far as they make any. */
function rulesIn(commands: readonly Command[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { add } of commands) {
    const { chain, rule } = asObject(add)
    if (chain !== undefined) counts.set(asText(asObject(chain)['name']), 0)
    const of = asText(asObject(rule)['chain'])
    if (of !== '') counts.set(of, (counts.get(of) ?? 0) + 1)
  }
  return counts
}

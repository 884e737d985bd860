/**
 * What pkctl's table was like when it was as it should be, to tell a change by pkctl's own commands, which stays, from
 * any other, which is mended.
 *
 * The kernel numbers tables, chains and rules, and gives no number twice. Commands of pkctl make all rules of a service
 * anew, and leave the packet path alone but for the rules that name a service which goes. So a service some of whose
 * rules are the old ones, and that is different all the same, was changed by somebody else.
 */
import type { Command, Hook } from '../json.js'
import type { ListedChain, ListedRule, ListedSet, Listing } from '../listing.js'
import { asObject, asText } from '../listing.js'
import { gateBase, gateOf, hooks, portMapEntries } from '../table/gate.js'
import { setNames } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { chainOf } from '../table/service-spec.js'
import type { ServiceState } from './service-state.js'
import { readServices } from './service-state.js'

export interface Snapshot {
  /** The table's number. */
  readonly table: number
  /** Chains of the packet path. */
  readonly path: ReadonlyMap<string, ChainSnapshot>
  /** What the maps and sets of the packet path contain that only commands change. */
  readonly lookups: ReadonlyMap<string, string>
  readonly gates: ReadonlyMap<Hook, readonly RuleSnapshot[]>
  readonly services: ReadonlyMap<string, ServiceSnapshot>
}

interface ChainSnapshot {
  readonly base: string
  readonly rules: readonly RuleSnapshot[]
}

interface ServiceSnapshot {
  readonly spec: ServiceSpec
  readonly rules: readonly RuleSnapshot[]
}

/** A rule that takes the place of another has its number, but another text. */
interface RuleSnapshot {
  readonly handle: number
  readonly text: string
}

export type Comparison =
  /** All is as it was, or as commands of pkctl made it. */
  | { readonly kind: 'sound'; readonly snapshot: Snapshot }
  | {
      readonly kind: 'damaged'
      /** What is wrong, in a few words each. */
      readonly damages: readonly string[]
      /** Services to be made again. */
      readonly broken: readonly ServiceSpec[]
      /** All that there should be. */
      readonly services: ReadonlyMap<string, ServiceSpec>
    }

/** The sets and maps whose contents `judge` and `takeImprint` look at, besides chains and rules. */
export const comparedMaps = (listing: Listing): string[] =>
  [...listing.maps.keys()].filter(name => /^(services|ranges)-/.test(name) || name === 'grants')
export const comparedSets = (listing: Listing): string[] =>
  [...listing.sets.keys()].filter(name => name.includes('.allow-') || pathSets.has(name))

const pathSets = new Set(['knock-ports', 'open-ports'])

const isPath = (chain: string) => !chain.startsWith('pk-') && !chain.startsWith('gate-')

/**
 * Takes an snapshot of what these commands have made, where `services` is what there should be. What differs from that
 * already is left out, and so will be found damaged.
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
    services: new Map(
      [...services].map(([name, spec]) => {
        const state = states.get(name)
        return [name, state?.sound ? { spec: state.spec, rules: rulesOf(name, listing) } : { spec, rules: [] }]
      }),
    ),
  }
}

/** Compares what there is with what there was, in the same table. */
export function compareSnapshot(before: Snapshot, listing: Listing): Comparison {
  const states = readServices(listing)
  const left = [...before.services.keys()].filter(name => leftWithoutTrace(name, listing))
  const damages = [
    ...(listing.flagged ? ['the table sleeps'] : []),
    ...pathDamages(before, listing, new Set(left.flatMap(setNames).map(set => `"@${set}"`))),
  ]
  const badGates = hooks.filter(hook => !gateIsWell(hook, before, listing, states))
  damages.push(...badGates.map(hook => `chain ${gateOf(hook)} was changed`))
  const known = [...before.services.values()].filter(({ spec }) => !left.includes(spec.name))
  const broken = known.filter(
    service => badGates.includes(service.spec.hook) || !isWell(service, states.get(service.spec.name), listing),
  )
  damages.push(
    ...broken.filter(({ spec }) => !badGates.includes(spec.hook)).map(({ spec }) => `service ${spec.name} was changed`),
  )
  const services = new Map(known.map(({ spec }) => [spec.name, spec]))
  for (const { spec, sound } of states.values()) {
    const isBroken = broken.some(service => service.spec.name === spec.name)
    if (sound && !isBroken) services.set(spec.name, spec)
  }
  if (damages.length > 0) return { kind: 'damaged', damages, broken: broken.map(({ spec }) => spec), services }
  const snapshot: Snapshot = {
    table: before.table,
    path: new Map([...before.path.keys()].map(name => [name, chainSnapshot(listing.chains.get(name) as ListedChain)])),
    lookups: before.lookups,
    gates: gatesOf(listing),
    services: new Map([...services].map(([name, spec]) => [name, { spec, rules: rulesOf(name, listing) }])),
  }
  return { kind: 'sound', snapshot }
}

function pathDamages(before: Snapshot, listing: Listing, leftSets: ReadonlySet<string>): string[] {
  const chains = [...before.path].flatMap(([name, { base, rules }]) => {
    const now = listing.chains.get(name)
    if (!now) return [`chain ${name} was deleted`]
    // Commands that remove a service take these along.
    const staying = rules.filter(({ text }) => ![...leftSets].some(set => text.includes(set)))
    const same = (now.base ?? '') === base && sameRules(now.rules.map(ruleSnapshot), staying)
    return same ? [] : [`chain ${name} was changed`]
  })
  const lookups = lookupsOf(listing)
  const changed = [...before.lookups].filter(([name, elements]) => lookups.get(name) !== elements)
  return [...chains, ...changed.map(([name]) => `the elements of ${name} were changed`)]
}

/** Commands make all rules of a gate anew, or none; `sound` of a service says whether they are right. */
function gateIsWell(
  hook: Hook,
  before: Snapshot,
  listing: Listing,
  states: ReadonlyMap<string, ServiceState>,
): boolean {
  const now = listing.chains.get(gateOf(hook))
  const then = before.gates.get(hook)
  if (!now) return ![...states.values()].some(({ spec }) => spec.hook === hook)
  if (now.base !== gateBase(hook)) return false
  const rules = now.rules.map(ruleSnapshot)
  return !then || sameRules(rules, then) || (rules.length > 0 && allNew(rules, then))
}

function isWell({ spec, rules }: ServiceSnapshot, state: ServiceState | undefined, listing: Listing): boolean {
  if (!state?.sound) return false
  const now = rulesOf(spec.name, listing)
  return sameRules(now, rules) ? specText(spec) === specText(state.spec) : allNew(now, rules)
}

/** As `pkctl remove` does it: nothing of the service is there any more. */
function leftWithoutTrace(service: string, listing: Listing): boolean {
  const chain = chainOf(service)
  return (
    !listing.chains.has(chain) &&
    !portMapEntries(listing).has(chain) &&
    setNames(service).every(set => !listing.sets.has(set))
  )
}

function specText(spec: ServiceSpec): string {
  const entries = Object.entries({ ...spec, allow: [...spec.allow].sort() })
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

const sameRules = (a: readonly RuleSnapshot[], b: readonly RuleSnapshot[]) =>
  a.length === b.length && a.every(({ handle, text }, i) => handle === b[i]?.handle && text === b[i].text)
const allNew = (now: readonly RuleSnapshot[], then: readonly RuleSnapshot[]) =>
  !now.some(({ handle }) => then.some(rule => rule.handle === handle))
const rulesOf = (service: string, listing: Listing) =>
  (listing.chains.get(chainOf(service))?.rules ?? []).map(ruleSnapshot)

const gatesOf = (listing: Listing): ReadonlyMap<Hook, readonly RuleSnapshot[]> =>
  new Map(
    hooks.flatMap(hook => {
      const gate = listing.chains.get(gateOf(hook))
      return gate ? [[hook, gate.rules.map(ruleSnapshot)] as const] : []
    }),
  )

const chainSnapshot = ({ base = '', rules }: ListedChain): ChainSnapshot => ({ base, rules: rules.map(ruleSnapshot) })

const ruleSnapshot = ({ handle, expr }: ListedRule): RuleSnapshot => ({
  handle,
  text: JSON.stringify(expr).replaceAll(/"(packets|bytes)":\d+/g, '"$1"'),
})

function lookupsOf(listing: Listing): Map<string, string> {
  const sets = [listing.maps.get('grants'), ...[...pathSets].map(name => listing.sets.get(name))]
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

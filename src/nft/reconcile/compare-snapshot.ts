/**
 * What pkctl's table was like when it was as it should be, to tell a change by pkctl's own commands, which stays, from
 * any other, which is drift.
 *
 * The kernel numbers tables, chains and rules, and gives no number twice. Commands of pkctl rebuild all rules of a
 * service or a gate, and leave the packet path alone but for the rules that name a service which is removed. So a service some of
 * whose rules are the old ones, and that is different all the same, was changed by another program.
 */
import type { Command, Hook } from '../json.js'
import type { ListedChain, ListedRule, ListedSet, Listing } from '../listing.js'
import { asObject, asText } from '../listing.js'
import { onwardChain } from '../table/arrival.js'
import { gateBase, gateOf, hooks, isAnswerRule, isPortMap, lookupRules, portMapEntries } from '../table/gate.js'
import { grantMap } from '../table/grant-chain.js'
import { filledByCommand } from '../table/sequence-rules.js'
import { isAllowSet, setNames } from '../table/service-sets.js'
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
  /** The first rule of the gate on the packet path's hook. */
  readonly answers: ReadonlyMap<Hook, RuleSnapshot>
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

type Comparison =
  /** All is as it was, or as commands of pkctl made it. */
  { readonly kind: 'unchanged'; readonly snapshot: Snapshot } | Drift

/** The difference that other programs made. */
export interface Drift {
  readonly kind: 'drifted'
  /** What is different, in a few words each. */
  readonly drift: readonly string[]
  /** Services to be made again. */
  readonly changed: readonly ServiceSpec[]
  /** All that there should be. */
  readonly services: ReadonlyMap<string, ServiceSpec>
}

const isComparedMap = (name: string) => isPortMap(name) || name === grantMap
const isComparedSet = (name: string) => isAllowSet(name) || pathSets.has(name)

/** The sets and maps whose contents a comparison looks at, besides chains and rules. */
export const comparedMaps = (listing: Listing): string[] => [...listing.maps.keys()].filter(isComparedMap)
export const comparedSets = (listing: Listing): string[] => [...listing.sets.keys()].filter(isComparedSet)

const pathSets = new Set(filledByCommand)

/** Whether a comparison looks at the elements of the set or map of this name. */
export const isComparedElement = (name: string): boolean => isComparedMap(name) || isComparedSet(name)

/** The chain for what is routed onward belongs to services: whether it is right, `sound` of these says. */
const isPath = (chain: string) => !chain.startsWith('pk-') && !chain.startsWith('gate-') && chain !== onwardChain

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

/** Compares what there is with what there was, in the same table. */
export function compareSnapshot(before: Snapshot, listing: Listing): Comparison {
  const states = readServices(listing)
  const removed = [...before.services.keys()].filter(name => removedWithoutTrace(name, listing))
  const drift = [
    ...(listing.flagged ? ['the table sleeps'] : []),
    ...packetPathDrift(before, listing, new Set(removed.flatMap(setNames).map(set => `"@${set}"`))),
  ]
  const driftedGates = hooks.filter(hook => !isGateAsBefore(hook, before, listing, states))
  drift.push(...driftedGates.map(hook => `chain ${gateOf(hook)} was changed`))
  const staying = [...before.services.values()].filter(({ spec }) => !removed.includes(spec.name))
  const changed = staying.filter(
    service =>
      driftedGates.includes(service.spec.hook) || !isServiceAsBefore(service, states.get(service.spec.name), listing),
  )
  drift.push(
    ...changed
      .filter(({ spec }) => !driftedGates.includes(spec.hook))
      .map(({ spec }) => `service ${spec.name} was changed`),
  )
  const services = new Map(staying.map(({ spec }) => [spec.name, spec]))
  for (const { spec, sound } of states.values()) {
    const isChanged = changed.some(service => service.spec.name === spec.name)
    if (sound && !isChanged) services.set(spec.name, spec)
  }
  if (drift.length > 0) return { kind: 'drifted', drift, changed: changed.map(({ spec }) => spec), services }
  const snapshot: Snapshot = {
    table: before.table,
    path: new Map([...before.path.keys()].map(name => [name, chainSnapshot(listing.chains.get(name) as ListedChain)])),
    lookups: before.lookups,
    gates: gatesOf(listing),
    answers: before.answers,
    services: new Map([...services].map(([name, spec]) => [name, { spec, rules: rulesOf(name, listing) }])),
  }
  return { kind: 'unchanged', snapshot }
}

function packetPathDrift(before: Snapshot, listing: Listing, removedSets: ReadonlySet<string>): string[] {
  const chains = [...before.path].flatMap(([name, { base, rules }]) => {
    const chain = listing.chains.get(name)
    if (!chain) return [`chain ${name} was deleted`]
    // Commands that remove a service take these along.
    const staying = rules.filter(({ text }) => ![...removedSets].some(set => text.includes(set)))
    const same = (chain.base ?? '') === base && sameRules(chain.rules.map(ruleSnapshot), staying)
    return same ? [] : [`chain ${name} was changed`]
  })
  const lookups = lookupsOf(listing)
  const changed = [...before.lookups].filter(([name, elements]) => lookups.get(name) !== elements)
  return [...chains, ...changed.map(([name]) => `the elements of ${name} were changed`)]
}

/** Commands rebuild all rules of a gate, or none; `sound` of a service says whether they are right. */
function isGateAsBefore(
  hook: Hook,
  before: Snapshot,
  listing: Listing,
  states: ReadonlyMap<string, ServiceState>,
): boolean {
  const gate = listing.chains.get(gateOf(hook))
  const rulesBefore = before.gates.get(hook)
  const answers = before.answers.get(hook)
  const isIdle = ![...states.values()].some(({ spec }) => spec.hook === hook)
  if (!gate) return isIdle && !answers
  if (gate.base !== gateBase(hook) || !sameRules(answersOf(gate), answers ? [answers] : [])) return false
  if (answers && gate.rules[0]?.handle !== answers.handle) return false
  const rules = lookupRules(gate).map(ruleSnapshot)
  if (!rulesBefore || sameRules(rules, rulesBefore)) return true
  return rules.length > 0 ? allNew(rules, rulesBefore) : isIdle
}

function isServiceAsBefore(before: ServiceSnapshot, state: ServiceState | undefined, listing: Listing): boolean {
  if (!state?.sound) return false
  const rules = rulesOf(before.spec.name, listing)
  return sameRules(rules, before.rules) ? specText(before.spec) === specText(state.spec) : allNew(rules, before.rules)
}

/** As `pkctl remove` does it: nothing of the service is there any more. */
function removedWithoutTrace(service: string, listing: Listing): boolean {
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
const allNew = (rules: readonly RuleSnapshot[], before: readonly RuleSnapshot[]) =>
  !rules.some(({ handle }) => before.some(rule => rule.handle === handle))
const rulesOf = (service: string, listing: Listing) =>
  (listing.chains.get(chainOf(service))?.rules ?? []).map(ruleSnapshot)

const gatesOf = (listing: Listing): ReadonlyMap<Hook, readonly RuleSnapshot[]> =>
  new Map(
    hooks.flatMap(hook => {
      const gate = listing.chains.get(gateOf(hook))
      return gate ? [[hook, lookupRules(gate).map(ruleSnapshot)] as const] : []
    }),
  )

const answersOf = (gate: ListedChain) => gate.rules.filter(isAnswerRule).map(ruleSnapshot)

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

const chainSnapshot = ({ base = '', rules }: ListedChain): ChainSnapshot => ({ base, rules: rules.map(ruleSnapshot) })

const ruleSnapshot = ({ handle, expr }: ListedRule): RuleSnapshot => ({
  handle,
  text: JSON.stringify(expr).replaceAll(/"(packets|bytes)":\d+/g, '"$1"'),
})

function lookupsOf(listing: Listing): Map<string, string> {
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

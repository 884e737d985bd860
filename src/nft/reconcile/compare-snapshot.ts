/**
 * Compares the table with a snapshot, to tell a change by pkctl's own commands, which stays, from any other, which is drift.
 *
 * The kernel numbers tables, chains and rules, and gives no number twice. Commands of pkctl rebuild all rules of a
 * service or a gate, and leave the packet path alone but for the rules that name a service which is removed. So a service some of
 * whose rules are the old ones, and that is different all the same, was changed by another program.
 */
import type { Hook } from '../nft-json.js'
import type { ListedChain, Listing } from '../listing.js'
import { gateBase, gateOf, hooks, lookupRules, portMapEntries } from '../table/gate.js'
import { setNames } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { serviceChain } from '../table/service-spec.js'
import type { ServiceState } from './service-state.js'
import { readServices } from './service-state.js'
import type { RuleSnapshot, ServiceSnapshot, Snapshot } from './snapshot.js'
import { answersOf, chainSnapshot, gatesOf, lookupsOf, ruleSnapshot, rulesOf } from './snapshot.js'

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

/** Compares what there is with what there was, in the same table. */
export function compareSnapshot(before: Snapshot, listing: Listing): Comparison {
  const states = readServices(listing)
  const removed = [...before.services.keys()].filter(name => removedWithoutTrace(name, listing))
  const drift = [
    ...(listing.flagged ? ['the table is dormant'] : []),
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
  const chain = serviceChain(service)
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

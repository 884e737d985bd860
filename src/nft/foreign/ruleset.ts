/** The whole ruleset, as `nft -j list ruleset` has it: pkctl's part, and that of other programs as `RuleChain`s. */
import type { Json } from '../nft-json.js'
import { family as ownFamily, table as ownTable } from '../nft-json.js'
import type { Listing } from '../listing.js'
import { asArray, asObject, asText, parseListing } from '../listing.js'
import { parseRule } from './parse-rule.js'
import type { RuleChain } from './rule.js'

export interface SetFill {
  readonly name: string
  readonly used: number
  readonly size: number
}

export interface Ruleset {
  readonly own: Listing
  readonly ownSets: readonly SetFill[]
  readonly chains: readonly RuleChain[]
}

type Item = readonly [kind: string, body: Record<string, Json>]

export function parseRuleset(json: unknown): Ruleset {
  const items = asArray(asObject(json)['nftables'])
  const isOwn = (item: Json): boolean => {
    const [kind, body] = bodyOf(item)
    return body['family'] === ownFamily && (kind === 'table' ? body['name'] : body['table']) === ownTable
  }
  const own = items.filter(isOwn)
  return {
    own: parseListing({ nftables: own }),
    ownSets: own.map(bodyOf).flatMap(fillOf),
    chains: chainsOf(items.filter(item => !isOwn(item)).map(bodyOf)),
  }
}

function bodyOf(item: Json): Item {
  const [kind, body] = Object.entries(asObject(item))[0] ?? ['', null]
  return [kind, asObject(body)]
}

function fillOf([kind, body]: Item): SetFill[] {
  if (kind !== 'set' || typeof body['size'] !== 'number') return []
  return [{ name: asText(body['name']), used: asArray(body['elem']).length, size: body['size'] }]
}

function chainsOf(items: readonly Item[]): RuleChain[] {
  const families = ['inet', 'ip', 'ip6'] as const
  return families.flatMap(family => {
    const mine = items.filter(([, body]) => body['family'] === family)
    return mine.flatMap(([kind, body]) => {
      if (kind !== 'chain') return []
      const table = asText(body['table'])
      const name = asText(body['name'])
      const ofTable = mine.filter(([, other]) => other['table'] === body['table'])
      const elements = elementsOf(ofTable)
      const rules = ofTable
        .filter(([what, rule]) => what === 'rule' && rule['chain'] === body['name'])
        .flatMap(([, rule]) => parseRule(asArray(rule['expr']), elements))
      return [{ family, table, name, rules, ...baseOf(body) }]
    })
  })
}

function baseOf(body: Record<string, Json>): Pick<RuleChain, 'base'> {
  const hook = body['hook']
  if (typeof hook !== 'string') return {}
  const policy = body['policy'] === 'drop' ? 'drop' : 'accept'
  return { base: { hook, priority: Number(body['prio']), policy, nat: body['type'] === 'nat' } }
}

/** The elements of the table's named sets and maps. */
function elementsOf(items: readonly Item[]): (name: string) => readonly Json[] | undefined {
  return name => {
    const found = items.find(([kind, body]) => (kind === 'set' || kind === 'map') && body['name'] === name)
    return found && asArray(found[1]['elem']).map(unwrapped)
  }
}

/** An element with a timeout or a comment is wrapped in an object. */
function unwrapped(element: Json): Json {
  if (Array.isArray(element)) return [unwrapped(element[0] as Json), element[1] as Json]
  const inner = asObject(element)['elem']
  return inner === undefined ? element : (asObject(inner)['val'] ?? null)
}

/** What the cases for a Firewall are made of: services, and questions that they ask. */
import assert from 'node:assert/strict'
import type { PortRange } from '../../src/net/ports.js'
import type { Listing } from '../../src/nft/listing.js'
import type { Nft } from '../../src/nft/nft.js'
import type { FirewallResult, Firewall } from '../../src/nft/reconcile/firewall.js'
import { Marks } from '../../src/nft/table/marks.js'
import type { PacketPathSpec } from '../../src/nft/table/packet-path-spec.js'
import type { ServiceSpec } from '../../src/nft/table/service-spec.js'

export interface FirewallCase {
  readonly name: string
  readonly run: (firewall: Firewall, nft: Nft) => Promise<void>
}

export const ports = (...ranges: (number | [number, number])[]): PortRange[] =>
  ranges.map(range => (typeof range === 'number' ? { first: range, last: range } : { first: range[0], last: range[1] }))

export function service(name: string, change: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    name,
    protocol: 'tcp',
    ports: ports(22),
    syn: false,
    closing: 'drop',
    window: 60,
    singleUse: false,
    failOpen: false,
    allow: [],
    prefix4: 32,
    prefix6: 128,
    hook: 'input',
    interfaces: [],
    log: null,
    ...change,
  }
}

export const ssh = service('ssh')
export const web = service('web', { ports: ports(80, 443) })

/** What a listing says, without what differs each time. */
function shape({ present, chains, sets, maps }: Listing): unknown {
  const contents = (each: Listing['sets']) =>
    [...each.values()].map(({ name, elements }) => {
      return [name, elements.map(({ value, target }) => JSON.stringify([value, target])).sort()]
    })
  const rules = [...chains.values()].map(chain => {
    const all = chain.rules.map(({ expr, comment }) => JSON.stringify([expr, comment]))
    return [chain.name, chain.hook, all]
  })
  return { present, chains: rules.sort(), sets: contents(sets).sort(), maps: contents(maps).sort() }
}

export async function unchanged(nft: Nft, work: () => Promise<unknown>): Promise<void> {
  const before = shape(await nft.list())
  await work()
  assert.deepEqual(shape(await nft.list()), before)
}

/** The same nft, and how many transactions were made through it. */
export function counting(nft: Nft): { readonly nft: Nft; readonly transactions: () => number } {
  let count = 0
  const counted: Nft = {
    apply: commands => {
      count++
      return nft.apply(commands)
    },
    check: commands => nft.check(commands),
    list: options => nft.list(options),
    listSet: (kind, name) => nft.listSet(kind, name),
    getElement: (set, value) => nft.getElement(set, value),
  }
  return { nft: counted, transactions: () => count }
}

export const changed = (change: FirewallResult) => assert.equal(change.changed, true)
export const nothing = ({ changed, details, commands }: FirewallResult) =>
  assert.deepEqual({ changed, details, commands }, { changed: false, details: [], commands: [] })

export async function specs(firewall: Firewall): Promise<ServiceSpec[]> {
  const services = [...(await firewall.services()).values()]
  for (const { spec, sound } of services) assert.ok(sound, `${spec.name} is sound`)
  return services.map(({ spec }) => spec)
}

/** Grants as `source by seconds`, the seconds rounded to tens, for time passes while this runs. */
export async function grants(firewall: Firewall, name = 'ssh'): Promise<string[]> {
  const state = (await firewall.services()).get(name)
  assert.ok(state, `service ${name} is there`)
  // A slow machine has let some seconds go by.
  const life = (seconds: number | null) => (seconds === null ? 'for ever' : Math.ceil(seconds / 10) * 10)
  return state.grants.map(({ source, by, secondsLeft }) => `${source} ${by} ${life(secondsLeft)}`).sort()
}

/** What plans of PKD knocks have in common. */
export const endsPlan = { revokes: false, passOn: false }

export const marks = new Marks(0xffff0000)

export async function packetPathFor(firewall: Firewall, change: Partial<PacketPathSpec> = {}) {
  const { nativeQueue } = await firewall.probe('input')
  return (services: ReadonlyMap<string, ServiceSpec>): PacketPathSpec => ({
    hook: 'input',
    queue: 62,
    native: nativeQueue,
    marks,
    shapes: [
      { udpLength: 64, firstWord: 0x5353484b, port: null, interfaces: [] },
      { udpLength: 64, firstWord: 0x504b4430, port: null, interfaces: [] },
      { udpLength: 64, firstWord: 0x504b4430, port: 4000, interfaces: [] },
    ],
    taggedLengths: [64, 84],
    actions: [...services.values()]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((service, i) => ({ ...endsPlan, number: i + 1, grants: [{ service, seconds: 30 }] })),
    sequencePorts: null,
    perSourceLimit: 50,
    perNetworkLimit: 500,
    excessLimit: 100,
    totalLimit: 1000,
    ...change,
  })
}

export const setNamesIn = async (nft: Nft) =>
  [...(await nft.list()).sets.keys()].filter(name => name.startsWith('pk-')).sort()
export const chainNames = async (nft: Nft) => [...(await nft.list()).chains.keys()].sort()

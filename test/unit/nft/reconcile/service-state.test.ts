import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { withoutCovered } from '../../../../src/net/interfaces.js'
import type { PortRange } from '../../../../src/net/ports.js'
import { withoutContained } from '../../../../src/net/prefixes.js'
import { readServices } from '../../../../src/nft/reconcile/service-state.js'
import { hooks } from '../../../../src/nft/table/gate.js'
import { buildServices, removeServices } from '../../../../src/nft/table/service-changes.js'
import type { ServiceSpec } from '../../../../src/nft/table/service-spec.js'
import { closings, protocols } from '../../../../src/nft/table/service-spec.js'
import { FakeNft } from '../../../support/fake-nft.js'

const port = fc.integer({ min: 1, max: 65_535 })

/** Ascending, and none inside another. */
const ports = fc.array(fc.tuple(port, fc.nat(300)), { minLength: 1, maxLength: 6 }).map(pairs => {
  const ranges: PortRange[] = []
  for (const [first, more] of pairs.sort(([a], [b]) => a - b)) {
    if (first > (ranges.at(-1)?.last ?? 0))
      ranges.push({ first, last: Math.min(65_535, first + (more > 150 ? more : 0)) })
  }
  return ranges
})

const prefix4 = fc.tuple(fc.ipV4(), fc.nat(32)).map(([address, length]) => {
  const number = address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
  const masked = Math.floor(number / 2 ** (32 - length)) * 2 ** (32 - length)
  return `${[24, 16, 8, 0].map(shift => Math.floor(masked / 2 ** shift) % 256).join('.')}/${length}`
})
const group = fc.integer({ min: 1, max: 0xffff }).map(group => group.toString(16))
const prefix6 = fc.tuple(group, group).map(([a, b]) => `2001:${a}:${b}::/48`)
const allow = fc.array(fc.oneof(prefix4, prefix6), { maxLength: 5 }).map(withoutContained)

const log = fc
  .record(
    {
      prefix: fc.stringMatching(/^[a-z: ]{0,20}$/),
      level: fc.constantFrom('emerg', 'warn', 'info', 'debug'),
      rate: fc.option(
        fc.record(
          { count: fc.integer({ min: 1, max: 99 }), unit: fc.constantFrom('second', 'minute', 'hour', 'day', 'week') },
          { noNullPrototype: true },
        ),
      ),
      burst: fc.integer({ min: 1, max: 99 }),
    },
    { noNullPrototype: true },
  )
  .map(log => ({ ...log, burst: log.rate ? log.burst : 0 }))

const spec: fc.Arbitrary<ServiceSpec> = fc.record(
  {
    name: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/),
    protocol: fc.constantFrom(...protocols),
    ports,
    syn: fc.boolean(),
    closing: fc.constantFrom(...closings),
    window: fc.integer({ min: 1, max: 1e9 }),
    singleUse: fc.boolean(),
    failOpen: fc.boolean(),
    allow,
    prefix4: fc.integer({ min: 0, max: 32 }),
    prefix6: fc.integer({ min: 0, max: 128 }),
    hook: fc.constantFrom(...hooks),
    interfaces: fc.array(fc.stringMatching(/^[a-z]{1,3}[0-9]?\*?$/)).map(withoutCovered),
    log: fc.option(log),
  },
  { noNullPrototype: true },
)

/** Services that may be there at the same time. */
const specs = fc.array(spec, { minLength: 1, maxLength: 4 }).map(all => {
  const named = [...new Map(all.map(each => [each.name, each])).values()]
  return named.map((each, i) => ({
    ...each,
    ports: each.ports.map(({ first, last }) => ({ first: (first >> 2) + i * 16_384, last: (last >> 2) + i * 16_384 })),
  }))
})

/** The same with the ports that became one taken once. */
const tidy = (all: readonly ServiceSpec[]) =>
  all.map(each => {
    const ranges: PortRange[] = []
    for (const { first, last } of each.ports) {
      if (first > 0 && first > (ranges.at(-1)?.last ?? 0)) ranges.push({ first, last })
    }
    return { ...each, ports: ranges.length > 0 ? ranges : [{ first: 65_535, last: 65_535 }] }
  })

const byName = (all: readonly ServiceSpec[]) => [...all].sort((a, b) => (a.name < b.name ? -1 : 1))

async function read(nft: FakeNft): Promise<ServiceSpec[]> {
  const services = [...readServices(await nft.list()).values()]
  assert.ok(services.every(({ sound }) => sound))
  return services.map(({ spec }) => spec)
}

describe('a service', () => {
  it('is read back as it was built, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(spec, async spec => {
        const nft = new FakeNft()
        await nft.apply(buildServices([spec], await nft.list()))
        assert.deepEqual(await read(nft), [spec])
      }),
    )
  })

  it('is read back after any change, beside others, until it is removed', async () => {
    await fc.assert(
      fc.asyncProperty(specs.map(tidy), specs.map(tidy), async (first, second) => {
        const nft = new FakeNft()
        await nft.apply(buildServices(first, await nft.list()))
        assert.deepEqual(await read(nft), byName(first))
        // What is not in the second configuration goes first, for it may have the ports.
        for (const { name } of first) {
          if (!second.some(each => each.name === name)) await nft.apply(removeServices([name], await nft.list()))
        }
        await nft.apply(buildServices(second, await nft.list()))
        assert.deepEqual(await read(nft), byName(second))
        for (const { name } of second) await nft.apply(removeServices([name], await nft.list()))
        assert.equal((await nft.list()).present, false)
      }),
      { numRuns: 50 },
    )
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { emptyListing } from '../../../../src/nft/listing.js'
import type { Expression, Hook } from '../../../../src/nft/nft-json.js'
import { buildPacketPath } from '../../../../src/nft/table/install-packet-path.js'
import { endsPlan, marks } from '../../../support/firewall-tools.js'

/** The rules of each chain of the packet path, in their order. */
function chainsOn(hook: Hook): Map<string, Expression[][]> {
  const limits = { perSourceLimit: 50, perNetworkLimit: 500, excessLimit: 100, totalLimit: 1000 }
  const sequencePorts = {
    ports: [{ protocol: 6, port: 7000 }],
    openPorts: [],
    flagRules: [{ mask: 18, value: 2 }],
    seconds: 10,
    interfaces: [],
  }
  const shapes = [{ udpLength: 64, firstWord: 1, port: null, interfaces: [] }]
  const actions = [{ ...endsPlan, number: 1, grants: [] }]
  const spec = { hook, queue: 62, native: true, marks, shapes, taggedLengths: [64], sequencePorts, actions, ...limits }
  const chains = new Map<string, Expression[][]>()
  for (const command of buildPacketPath(spec, emptyListing(), new Set<Hook>([hook]))) {
    const { rule } = (command as { add?: { rule?: { chain: string; expr: Expression[] } } }).add ?? {}
    if (rule) chains.set(rule.chain, [...(chains.get(rule.chain) ?? []), rule.expr])
  }
  return chains
}

const byVrf = { match: { op: '==', left: { meta: { key: 'iifkind' } }, right: 'vrf' } }
const notLocal = (...flags: string[]) => ({
  match: { op: '!=', left: { fib: { result: 'type', flags: ['daddr', ...flags] } }, right: 'local' },
})

describe('the packet path before routing', () => {
  const chains = chainsOn('prerouting')

  for (const [chain, leave] of [
    ['pending', { accept: null }],
    ['step', { accept: null }],
    ['astray', { return: null }],
    ['stepped', { return: null }],
  ] as const) {
    it(`leaves what passes again in a VRF, and what is for other machines, out of the chain ${chain}`, () => {
      const [again, others] = chains.get(chain) ?? []
      assert.deepEqual(again, [byVrf, leave])
      assert.deepEqual(others, [notLocal(), notLocal('iif'), leave])
    })
  }

  it('sees knocks when they pass again, for older kernels do not know the first time for which machine they are', () => {
    const toCandidates = (chains.get('knock-udp') ?? []).filter(rule => JSON.stringify(rule).includes('"candidate"'))
    assert.equal(toCandidates.length, 2)
    assert.deepEqual(toCandidates[1]?.[0], byVrf)
  })
})

describe('the packet path on input', () => {
  it('does not ask for whom a packet is', () => {
    const text = JSON.stringify([...chainsOn('input').values()])
    assert.doesNotMatch(text, /fib|iifkind/)
  })
})

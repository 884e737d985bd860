/** For which credentials a link-local source means one machine, and to which services a command grants one. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ActiveCredential } from '../../../src/controller/verify/active-credentials.js'
import { packetCredential, packetSequence } from '../../../src/controller/verify/active-credentials.js'
import type { GrantAction } from '../../../src/nft/index.js'
import { refuseLinkLocal } from '../../../src/nft/index.js'

type PacketKnock = Extract<ActiveCredential, { kind: 'packet' }>
type StepsKnock = Extract<ActiveCredential, { kind: 'steps' }>

const vrfs = () => new Set(['blue'])

function isForOneLink(type: 'pkd' | 'sequence', credential: readonly string[], service = credential): boolean {
  const common = {
    name: 'lan',
    type,
    tag: 'SSHK',
    interfaces: credential,
    triggers: {},
    targets: [],
    steps: [],
    key: Buffer.alloc(1),
  }
  const of = { credential: common as unknown as PacketKnock['credential'], steps: [], revokes: false }
  const granted = { service: { name: 'ssh', protocol: 'tcp', ports: [], interfaces: service }, seconds: 30 }
  const action = { number: 1, grants: [granted] } as unknown as GrantAction
  if (type === 'pkd') return packetCredential({ ...of, kind: 'packet' }, action, vrfs).linkLocal
  return packetSequence({ ...of, kind: 'steps' } as unknown as StepsKnock, action, vrfs).linkLocal
}

describe('link-local sources', () => {
  for (const type of ['pkd', 'sequence'] as const) {
    it(`mean one machine for ${type} where credential and services have the same one link`, () => {
      assert.equal(isForOneLink(type, ['eth1']), true)
      for (const names of [[], ['eth*'], ['eth0', 'eth1']])
        assert.equal(isForOneLink(type, names), false, String(names))
      assert.equal(isForOneLink(type, ['eth1'], ['eth0']), false)
    })
    it(`mean none for ${type} by a VRF, by which packets of all its links come in`, () => {
      assert.equal(isForOneLink(type, ['blue']), false)
      assert.equal(isForOneLink(type, ['blue', 'eth1']), false)
    })
  }

  it('are granted by command where the service has one link that is no VRF', () => {
    refuseLinkLocal('ssh', 'fe80::5', ['eth1'], vrfs)
    refuseLinkLocal('ssh', '2001:db8::5', ['blue'], vrfs)
    for (const names of [[], ['blue'], ['blue', 'eth1']]) {
      const add = () => refuseLinkLocal('ssh', 'fe80::5', names, vrfs)
      assert.throws(add, /must name one interface, which is not a VRF/, String(names))
    }
  })
})

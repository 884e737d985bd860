import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { Firewall } from '../../../src/nft/reconcile/firewall.js'
import type { ServicePlan } from '../../../src/nft/reconcile/service-plan.js'
import type { ServiceGrant } from '../../../src/nft/table/grant-elements.js'
import type { ServiceSpec } from '../../../src/nft/table/service-spec.js'
import type { LockoutFlags } from '../../../src/safety/guard-session.js'
import { guardSession } from '../../../src/safety/guard-session.js'
import type { Session } from '../../../src/safety/ssh-session.js'
import { FakeNft, fakeRuleset } from '../../support/fake-nft.js'
import { service } from '../../support/firewall-tools.js'

const address = '198.51.100.7'
const session: Session = { version: 4, address, localAddress: '', port: 22 }
const everyPacket = service('ssh')
const newConnections = service('ssh', { syn: true })
const grant = (by: 'knock' | 'hand', secondsLeft: number | null): ServiceGrant => ({
  service: 'ssh',
  source: address,
  by,
  secondsLeft,
})
const lasting = grant('hand', null)

describe('whoever types a command in an ssh session', () => {
  let firewall: Firewall
  let said: string[]

  beforeEach(() => {
    // Time stands still, so that the seconds that are left are those that were given.
    firewall = new Firewall(fakeRuleset(new FakeNft({ now: () => 0 })))
    said = []
  })

  /** The grants that --allow-me makes when the service is changed in his session. */
  async function change(spec: ServiceSpec, flags: LockoutFlags, mine = session): Promise<readonly ServiceGrant[]> {
    const say = (message: string) => void said.push(message)
    const terminal = {
      out: say,
      error: say,
      hint: say,
      warn: say,
      strong: String,
      errorLine: () => undefined,
      difference: say,
    }
    let allowed: readonly ServiceGrant[] = []
    const prepare = async (plan: ServicePlan) => {
      allowed = await guardSession(terminal, firewall, flags, plan, mine)
      return []
    }
    await firewall.apply({ specs: [{ ...spec, window: 90 }], prepare })
    return allowed
  }

  const granted: readonly [string, readonly ServiceGrant[], readonly ServiceGrant[]][] = [
    ['nothing', [], [lasting]],
    ['a knock of 30 s ago', [grant('knock', 30)], [lasting]],
    ['a grant by hand that ends', [grant('hand', 500)], [lasting]],
    ['a grant by hand without end', [lasting], []],
    ['a knock, and a grant by hand without end', [grant('knock', 30), lasting], []],
    ['a knock that opens without end', [grant('knock', null)], []],
  ]
  for (const [name, grants, wanted] of granted) {
    it(`is let in without end by --allow-me, having ${name}`, async () => {
      for (const spec of [everyPacket, newConnections]) {
        await firewall.apply({ specs: [spec], grants })
        assert.deepEqual(await change(spec, { allowMe: true }), wanted)
      }
    })
  }

  it('is let in by --allow-me for the time of --for, if no grant ends later, and told when that cuts the session off', async () => {
    for (const [grants, wanted] of [
      [[], [grant('hand', 600)]],
      [[grant('knock', 30)], [grant('hand', 600)]],
      [[grant('hand', 500)], [grant('hand', 600)]],
      [[grant('hand', 700)], []],
      [[lasting], []],
    ] as const) {
      for (const [spec, warning] of [
        [
          everyPacket,
          wanted.length === 0
            ? ''
            : `your ssh session from ${address} ends in 10 min: service ssh filters every packet`,
        ],
        [newConnections, ''],
      ] as const) {
        said = []
        await firewall.apply({ specs: [], remove: ['ssh'] })
        await firewall.apply({ specs: [spec], grants })
        assert.deepEqual(await change(spec, { allowMe: true, for: 600 }), wanted)
        assert.equal(said.join(), warning)
      }
    }
    await assert.rejects(change(everyPacket, { for: 600 }), /--for is for --allow-me/)
  })

  it('is told when he would be cut off, though his knock lets him in until then', async () => {
    await firewall.apply({ specs: [everyPacket], grants: [grant('knock', 30)] })
    await assert.rejects(
      change(everyPacket, {}),
      /^UserError: your ssh session from 198\.51\.100\.7 would end: service ssh filters every packet to port 22, and neither a grant nor the allowlist accepts 198\.51\.100\.7 for longer than 30 s$/,
    )
    await change(everyPacket, { force: true })
    assert.match(said.join('\n'), /would end: .* for longer than 30 s$/)
  })

  it('is told the longest of what ends', async () => {
    const grants = [grant('knock', 30), grant('hand', 500)]
    await firewall.apply({ specs: [everyPacket], grants })
    await assert.rejects(change(everyPacket, {}), /for longer than 8 min 20 s$/)
  })

  it('is told nothing where he is let in without end, or knocks for new connections alone', async () => {
    await firewall.apply({ specs: [everyPacket], grants: [lasting] })
    assert.deepEqual(await change(everyPacket, {}), [])
    await firewall.apply({ specs: [newConnections], revoke: [lasting], grants: [grant('knock', 30)] })
    assert.deepEqual(await change(newConnections, {}), [])
    assert.deepEqual(said, [])
  })

  it('is warned where nothing lets his next connection in', async () => {
    await firewall.apply({ specs: [newConnections] })
    assert.deepEqual(await change(newConnections, {}), [])
    assert.match(
      said[0] ?? '',
      /a new one from there will be refused: .* neither a grant nor the allowlist accepts 198\.51\.100\.7$/,
    )
  })

  it('is told nothing of a service that filters only what comes in by other interfaces', async () => {
    for (const [interfaces, warned] of [
      [['ppp*'], false],
      [['ppp*', 'eth*'], true],
      [['bond0'], true],
    ] as const) {
      const spec = service('ssh', { syn: true, interfaces: [...interfaces] })
      said = []
      await firewall.apply({ specs: [], remove: ['ssh'] })
      await change(spec, {}, { ...session, interfaces: ['eth0', 'bond0'] })
      assert.equal(said.length > 0, warned, interfaces.join())
      said = []
      await firewall.apply({ specs: [], remove: ['ssh'] })
      await change(spec, {}, session)
      assert.ok(said.length > 0, 'where it is not known by which interface the session comes in')
    }
  })
})

/** What a Firewall does with what other servers of a fleet say: the same for few changes, of which each is looked up, and for many. */
import assert from 'node:assert/strict'
import type { SharedChange } from '../../src/nft/reconcile/shared-grants-plan.js'
import { fleetComment } from '../../src/nft/table/grant-comment.js'
import type { FirewallCase } from './firewall-tools.js'
import { grants, service, ssh } from './firewall-tools.js'

const granted = (source: string, seconds: number): SharedChange => ({
  ...{ service: 'ssh', source, revokes: [] },
  grant: { seconds, comment: fleetComment('web-1', Date.UTC(2030, 0)) },
})
const revoked = (source: string, ...revokes: SharedChange['revokes']): SharedChange => ({
  ...{ service: 'ssh', source, revokes },
})
const addresses = (count: number) => Array.from({ length: count }, (_, i) => `192.0.2.${i + 1}`)

export const fleetCases: readonly FirewallCase[] = [1, 2, 3, 10].flatMap(count => [
  {
    name: `a fleet grants and revokes, ${count} at once`,
    async run(firewall) {
      await firewall.ensureServices([ssh])
      const all = addresses(count)
      await firewall.changeShared(all.map(source => granted(source, 500)))
      assert.deepEqual((await grants(firewall)).sort(), all.map(source => `${source} hand 500`).sort())
      await firewall.changeShared(all.map(source => revoked(source, 'hand')))
      assert.deepEqual(await grants(firewall), [])
    },
  },
  {
    name: `a fleet cuts no grant short that was made here, and can revoke it, ${count} at once`,
    async run(firewall) {
      await firewall.ensureServices([ssh])
      const all = addresses(count)
      for (const source of all) await firewall.addGrant('ssh', 4, source, null)
      const kept = all.map(source => `${source} hand for ever`).sort()
      await firewall.changeShared(all.map(source => granted(source, 500)))
      assert.deepEqual((await grants(firewall)).sort(), kept)
      // A knock that closes elsewhere closes what knocks have opened.
      await firewall.changeShared(all.map(source => revoked(source, 'knock')))
      assert.deepEqual((await grants(firewall)).sort(), kept)
      await firewall.changeShared(all.map(source => revoked(source, 'knock', 'hand')))
      assert.deepEqual(await grants(firewall), [])
    },
  },
  {
    name: `a fleet opens neither a prefix that the service does not grant, nor a service that is not here, ${count} at once`,
    async run(firewall) {
      await firewall.ensureServices([service('ssh', { prefix4: 24 })])
      const elsewhere = { ...granted('192.0.2.1', 500), service: 'web' }
      const wrong = [granted('0.0.0.0/1', 500), granted('192.0.0.0/16', 500), elsewhere]
      await firewall.changeShared(wrong.slice(0, count))
      await firewall.changeShared(wrong.slice(-count))
      assert.deepEqual(await grants(firewall), [])
    },
  },
])

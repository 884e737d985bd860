import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import { checkSavedRules } from '../../../src/doctor/checks/check-saved-rules.js'
import { savedRules } from '../../../src/doctor/probes/probe-saved-rules.js'
import { savedPart } from '../../../src/nft/foreign/saved-rules.js'

const table = (set: string, elements: string) => `flush ruleset
table inet other { set pk-ssh-4 { type ipv4_addr; elements = { 192.0.2.9 } } }
table inet pkctl { # { pkctl
	set ${set} {
		type ipv4_addr
		size 65535
		flags timeout
		comment "a } brace"
${elements}
	}
	chain pk-ssh {
		ip saddr @pk-ssh-4 counter packets 0 bytes 0 accept comment "granted by knock"
		counter packets 3 bytes 180 drop
	}
}
`
const two = '		elements = { 192.0.2.1 timeout 1h expires 20m,\n			     192.0.2.2 }'

describe('rules of pkctl in a saved ruleset', () => {
  it('grants are counted, allowlists and the sets of others are not', () => {
    assert.deepEqual(savedPart(table('pk-ssh-4', two)), {
      hasTable: true,
      mentionsTable: true,
      grants: 2,
      hasQueueRule: false,
    })
    assert.equal(savedPart(table('pk-ssh.add-4', two)).grants, 2)
    assert.equal(savedPart(table('pk-ssh.allow-4', two)).grants, 0)
    assert.equal(savedPart(table('pk-ssh-4', '')).grants, 0)
    assert.equal(savedPart('add element inet pkctl pk-ssh-4 { 192.0.2.1 timeout 60s }').grants, 1)
    const commented = table('pk-ssh-4', two).replace(/^/gm, '# ')
    assert.deepEqual(savedPart(commented), { hasTable: false, mentionsTable: false, grants: 0, hasQueueRule: false })
  })

  it('are found in included files', () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-saved-'))
    try {
      const file = (name: string, text: string) => {
        fs.writeFileSync(path.join(directory, name), text)
        return path.join(directory, name)
      }
      const main = file('nftables.conf', `include "${directory}/*.nft"\ninclude "./nftables.conf"\n`)
      const rules = file(
        'rules.v4',
        '*mangle\n-A PREROUTING -m mark --mark 0x1/0x1 -m comment --comment "pkctl: knocks" -j NFQUEUE --queue-num 62\n',
      )
      file('b.nft', table('pk-ssh-4', ''))
      const grants = file('a.nft', table('pk-ssh-4', two))
      file('c.conf', table('pk-ssh-4', two))
      const found = checkSavedRules(savedRules([main, rules, '/none', directory]))
      assert.deepEqual(
        found.map(({ path: at, level }) => [path.basename(at ?? ''), level]),
        [
          ['a.nft', 'warning'],
          ['b.nft', 'note'],
          ['rules.v4', 'note'],
        ],
      )
      assert.ok(found.every(({ id }) => id === 'saved-rules'))
      assert.match(found[0]?.message ?? '', new RegExp(`^${grants} holds 2 grants of pkctl: .* at boot`))
      assert.match(found[2]?.message ?? '', /the iptables rule of pkctl/)
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  })
})

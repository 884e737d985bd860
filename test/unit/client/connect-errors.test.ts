import assert from 'node:assert/strict'
import { it } from 'node:test'
import { closedHint } from '../../../src/client/index.js'

const noAnswer = 'no answer from 192.0.2.1'
const cases = [
  [
    noAnswer,
    'pkd',
    /wrong tag, key or port.*clock.*firewall on the way.*pkctl status on the server counts knocks with another tag/,
  ],
  [noAnswer, 'symmetric', /^wrong key, identity or port.*clock.*firewall on the way.*counts knocks of another minute/],
  [noAnswer, 'signed', /^wrong identity.*SSH key.*not know.*revoked.*clock.*firewall on the way.*another minute/],
  [noAnswer, 'sequence', /^wrong ports or order.*too long.*TCP flags.*firewall on the way.*level debug tells$/],
  ['192.0.2.1 refuses', 'pkd', /wrong tag, key or port.*clock.*no program listens/],
  ['192.0.2.1 refuses', 'sequence', /^wrong ports or order.*no program listens/],
  ['connect EHOSTUNREACH 192.0.2.1:22', 'pkd', /no route/],
  ['connect ENETUNREACH 2001:db8::1:22', 'signed', /no route/],
] as const
for (const [why, kind, hint] of cases) {
  it(`the hint for a port that stays closed names what can be: ${kind}, ${why}`, () =>
    assert.match(closedHint(why, kind), hint))
}

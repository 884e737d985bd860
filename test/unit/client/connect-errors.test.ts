import assert from 'node:assert/strict'
import { it } from 'node:test'
import { closedHint } from '../../../src/client/index.js'

for (const [why, hint] of [
  [
    'no answer from 192.0.2.1',
    /wrong tag, key or port.*clock.*firewall on the way.*has a line of each knock but those with another tag/,
  ],
  ['192.0.2.1 refuses', /wrong tag, key or port.*clock.*no program listens/],
  ['connect EHOSTUNREACH 192.0.2.1:22', /no route/],
  ['connect ENETUNREACH 2001:db8::1:22', /no route/],
] as const) {
  it(`the hint for a port that stays closed names what can be: ${why}`, () => assert.match(closedHint(why), hint))
}

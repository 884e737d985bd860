import assert from 'node:assert/strict'
import { it } from 'node:test'
import { readAnswer } from '../../../src/queue/ruleset-generation.js'

/** As the kernel sends it: the number in network order, then the process that asks. */
const answer = Buffer.from(
  '3c0000000f0a00000000000000000000' +
    '00000000' +
    '0800010000000102' +
    '0800020000000007' +
    '0900030074657374' +
    '00000000',
  'hex',
)

it('reads the number of the generation', () => {
  assert.equal(readAnswer(answer), 0x102)
})
const others: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['an error', Buffer.from('24000000020000000000000000000000ffffffff1400000010 0a'.replaceAll(' ', ''), 'hex')],
  ['a message that is cut', answer.subarray(0, 23)],
  ['an attribute without a length', Buffer.from(answer.toString('hex').replace('08000100', '00000900'), 'hex')],
]
for (const [name, message] of others) {
  it(`takes ${name} for no answer`, () => {
    assert.equal(readAnswer(message), undefined)
  })
}

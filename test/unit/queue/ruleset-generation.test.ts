import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  getElement,
  getTable,
  readGeneration,
  readPresence,
  readSecondsLeft,
} from '../../../src/queue/netfilter-messages.js'

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
  assert.equal(readGeneration(answer), 0x102)
})
const others: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['an error', Buffer.from('24000000020000000000000000000000ffffffff1400000010 0a'.replaceAll(' ', ''), 'hex')],
  ['a message that is cut', answer.subarray(0, 23)],
  ['an attribute without a length', Buffer.from(answer.toString('hex').replace('08000100', '00000900'), 'hex')],
]
for (const [name, message] of others) {
  it(`takes ${name} for no answer`, () => {
    assert.equal(readGeneration(message), undefined)
  })
}

it('asks for a table by its name', () => {
  assert.equal(
    getTable('pkctl').toString('hex'),
    '20000000010a01000000000000000000' + '01000000' + '0a000100706b63746c000000',
  )
})

const absent = Buffer.from(
  '24000000020000000000000000000000feffffff2000000001 0a01000000000000000000'.replaceAll(' ', ''),
  'hex',
)
const refused = Buffer.from(absent.toString('hex').replace('feffffff', 'ffffffff'), 'hex')
const there = Buffer.from('1c000000000a00000000000000000000' + '01000000' + '0800020000000000', 'hex')

for (const [name, message, presence] of [
  ['the table', there, true],
  ['that there is none', absent, false],
  ['another error', refused, undefined],
  ['nothing', Buffer.alloc(0), undefined],
] as const) {
  it(`takes ${name} for ${presence}`, () => {
    assert.equal(readPresence(message), presence)
  })
}

it('asks for an element by its key', () => {
  assert.equal(
    getElement('pkctl', 'pk-ssh-4', Buffer.from([192, 0, 2, 1])).toString('hex'),
    '440000000d0a01000000000000000000' +
      '01000000' +
      '0a000100706b63746c000000' +
      '0d000200706b2d7373682d3400000000' +
      '14000380' +
      '10000180' +
      '0c000180' +
      '08000100c0000201',
  )
})

/** As Linux 6.18 sends it. */
const element = (life: string) =>
  Buffer.from(
    `${(0x44 + life.length / 2).toString(16)}0000000c0a00000000000000000000` +
      '01000000' +
      '0a000100706b63746c000000' +
      '0d000200706b2d7373682d3400000000' +
      `${(0x14 + life.length / 2).toString(16)}000380` +
      `${(0x10 + life.length / 2).toString(16)}000180` +
      '0c000180' +
      '08000100c0000201' +
      life,
    'hex',
  )
const timeout = '0c000400000000000000ea60'
for (const [name, message, seconds] of [
  ['an element with a time limit', element(`${timeout}0c00050000000000000088b8`), 35],
  ['one without', element(''), Infinity],
  ['that there is none', absent, undefined],
  ['nothing', Buffer.alloc(0), undefined],
  ['a message that is cut', element(`${timeout}0c00050000000000000088b8`).subarray(0, 70), undefined],
] as const) {
  it(`reads what is left of ${name}`, () => {
    assert.equal(readSecondsLeft(message), seconds)
  })
}

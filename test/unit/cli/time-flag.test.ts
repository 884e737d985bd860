import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { secondsUntil } from '../../../src/cli/flags/time-flag.js'

describe('seconds until a time', () => {
  const now = new Date(2026, 10, 30, 17, 30, 0, 400)
  const until = (text: string) => secondsUntil('--until', text, now)
  const utc = (seconds: number) => new Date(now.getTime() + seconds * 1000).toISOString().slice(0, 19)

  for (const [name, text, seconds] of [
    ['of today', '18:00', 1800],
    ['that is now, or over, of tomorrow', '17:30', 86_400],
    ['in the morning of tomorrow', '9:05', 15 * 3600 + 35 * 60],
    ['of another day, in local time', '2026-12-01T17:30', 86_400],
    ['with a blank and seconds', '2026-12-01 17:30:30', 86_430],
    ['with a zone', `${utc(7200)}Z`, 7200],
  ] as const)
    it(`${name}: ${text}`, () => assert.equal(until(text), seconds))

  it('with an offset', () => {
    assert.equal(until('2030-01-31T18:00+01:00'), until('2030-01-31T17:00Z'))
  })

  for (const text of ['24:00', '18:60', '18', 'tomorrow', '2026-11-31T24:01', '', '2026-12-01'])
    it(`not '${text}'`, () => assert.throws(() => until(text), /--until takes a time such as 18:00/))
  for (const text of ['2026-11-30T17:30', '2026-11-30T17:29', '2001-01-01T00:00Z'])
    it(`that is over: ${text}`, () => assert.throws(() => until(text), /--until is over: 20\d\d-/))
})

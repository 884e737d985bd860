import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { describe, it } from 'node:test'
import type { Digest } from '../../../src/knock/rotating.js'
import { currentHours, nextTurn, rotatingSteps, startOfHour } from '../../../src/knock/rotating.js'

interface Vector {
  readonly name: string
  readonly secret: string
  readonly digest: Digest
  readonly first: number
  readonly last: number
  readonly hourStart: number
  readonly ports: readonly number[]
}

const { cases } = JSON.parse(
  fs.readFileSync(new URL('../../../../test/vectors/rotating.json', import.meta.url), 'utf8'),
) as { cases: readonly Vector[] }

describe('rotatingSteps', () => {
  for (const { name, hourStart, ports, ...rotation } of cases) {
    it(name, () => {
      assert.deepEqual(
        rotatingSteps(rotation, hourStart).map(({ port }) => port),
        ports,
      )
    })
  }
})

describe('the hours that count', () => {
  const hour = 3600
  const table: readonly [string, number, number, number[], number][] = [
    ['in the middle', 1.5 * hour, 0, [hour], 2 * hour],
    ['at the turn', 2 * hour, 0, [2 * hour], 2 * hour + 1],
    ['just before it', 2 * hour - 0.5, 0, [hour], 2 * hour],
    ['within the grace before', 2 * hour - 10, 10, [hour, 2 * hour], 2 * hour],
    ['before the grace', 2 * hour - 11, 10, [hour], 2 * hour - 10],
    ['within the grace after', 2 * hour + 9, 10, [2 * hour, hour], 2 * hour + 11],
    ['after the grace', 2 * hour + 11, 10, [2 * hour], 3 * hour - 10],
  ]
  for (const [name, now, grace, hours, turn] of table) {
    it(name, () => {
      assert.deepEqual(currentHours(now, 'utc', grace), hours)
      assert.equal(nextTurn(now, 'utc', grace), turn)
    })
  }

  it('begin by the local clock where asked, also where zones are not whole hours apart', () => {
    const before = process.env['TZ']
    process.env['TZ'] = 'Asia/Kolkata'
    try {
      assert.equal(startOfHour(1_699_999_200 + 1900, 'local'), 1_699_999_200 + 1800)
    } finally {
      if (before === undefined) delete process.env['TZ']
      else process.env['TZ'] = before
    }
  })
})

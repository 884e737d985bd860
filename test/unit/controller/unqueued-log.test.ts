import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UnqueuedLog } from '../../../src/controller/report/unqueued-log.js'

const tag = (packets: number, rule = '1 7') => ({ rule, kind: 'no-credential' as const, packets })
const minute = (packets: number, rule = '1 8') => ({ rule, kind: 'other-minute' as const, packets })

function bench() {
  const clock = { now: 0 }
  const lines: string[] = []
  const log = new UnqueuedLog({ debug: line => void lines.push(line) }, () => clock.now)
  return { clock, lines, note: log.note.bind(log), said: () => lines.splice(0).map(line => line.replace(/;.*/, '')) }
}

describe('what the log says of packets that are not queued', () => {
  it('is how many have come since the last line, of each kind', () => {
    const { clock, note, said } = bench()
    note([tag(0), minute(0)])
    assert.deepEqual(said(), [])
    note([tag(1), minute(2)])
    assert.deepEqual(said(), [
      'not queued: 1 packet with an unknown tag, or for a port or interface of no credential',
      'not queued: 2 packets of the wrong minute, or for another server',
    ])
    clock.now += 10_000
    note([tag(4), minute(2)])
    assert.deepEqual(said(), ['not queued: 3 packets with an unknown tag, or for a port or interface of no credential'])
  })

  it('sums up rules, and begins again with new ones', () => {
    const { clock, note, said } = bench()
    note([tag(5), tag(6, '1 9')])
    assert.match(said().join(), /: 11 packets /)
    clock.now += 10_000
    note([tag(7, '2 7'), tag(6, '1 9')])
    assert.match(said().join(), /: 7 packets /)
  })

  it('comes no more often than comparisons at their interval', () => {
    const { clock, note, said } = bench()
    note([tag(1)])
    said()
    for (const packets of [2, 3, 4]) note([tag(packets)])
    assert.deepEqual(said(), [])
    clock.now += 10_000
    note([])
    note([tag(4)])
    assert.match(said().join(), /: 3 packets /)
  })
})

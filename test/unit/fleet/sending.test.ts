import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { decodeMessage } from '../../../src/fleet/message.js'
import { Sending } from '../../../src/fleet/sending.js'

const group = { name: 'edge', key: Buffer.alloc(32, 7) }
const now = 1_900_000_000_000

describe('what a server of a fleet tells the others', () => {
  it('has no gap where a hello comes while others are being sent', async () => {
    const numbers: number[] = []
    const turns: (() => void)[] = []
    const sending = new Sending({
      ...{ node: 'here', group, epoch: now, now: () => now, onSent: () => undefined },
      onTrouble: reason => {
        throw new Error(reason)
      },
      send: async texts => {
        await new Promise<void>(resolve => turns.push(resolve))
        for (const text of texts) {
          const message = decodeMessage(text, group, { now, ahead: 0, longestWindow: 3_600_000 })
          if (typeof message !== 'string') numbers.push(message.sequence)
        }
        return texts.map((_, i) => `${now}-${i}`)
      },
    })
    const grant = { kind: 'grant', by: 'knock', service: 'ssh', source: '192.0.2.7', made: now } as const
    sending.open()
    sending.tell({ ...grant, until: now + 1000 })
    await turn()
    sending.sayHello('{}')
    for (let i = 0; i < 5; i++) {
      turns.pop()?.()
      await turn()
    }
    assert.deepEqual(numbers, [1, 2])
    assert.deepEqual(sending.counts, { waiting: 0, dropped: 0, sent: 2 })
  })
})

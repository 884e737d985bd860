import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { decodeMessage } from '../../../src/fleet/message.js'
import { OutboxFile } from '../../../src/fleet/outbox-file.js'
import { Sending } from '../../../src/fleet/sending.js'
import { noStore } from './no-store.js'

const group = { name: 'edge', key: Buffer.alloc(32, 7) }
const now = 1_900_000_000_000

describe('what a server of a fleet tells the others', () => {
  it('has no gap where a hello comes while others are being sent', async () => {
    const numbers: number[] = []
    const turns: (() => void)[] = []
    const sending = new Sending({
      ...{ node: 'here', group, epoch: now, store: noStore, now: () => now, onSent: () => undefined },
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

describe('what waits for the engine', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-outbox-'))
  const file = path.join(directory, 'fleet-outbox')
  after(() => {
    fs.rmSync(directory, { recursive: true })
  })
  const limits = { now, ahead: 0, longestWindow: 3_600_000 }
  const reports: string[] = []
  const storeOf = (key = group.key) =>
    new OutboxFile(directory, { node: 'here', group: { ...group, key }, report: message => reports.push(message) })
  const word = { by: 'knock', service: 'ssh', source: '192.0.2.7', made: now } as const
  const left = () => storeOf().recall(limits).map(({ kind, source }) => `${kind} ${source}`) // prettier-ignore

  it('is on disk, without what is over, and gone when the engine has it', async () => {
    let isAway = true
    const sending = new Sending({
      ...{ node: 'here', group, epoch: now, store: storeOf(), now: () => now },
      ...{ onSent: () => undefined, onTrouble: () => undefined },
      send: texts => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(texts.map((_, i) => `${now}-${i}`))),
    })
    sending.open()
    sending.tell({ ...word, kind: 'grant', until: now + 1000 })
    sending.tell({ ...word, kind: 'grant', source: '192.0.2.8', until: now })
    sending.tell({ ...word, kind: 'revoke', source: '192.0.2.9', until: now + 1000 })
    await wait(50)
    assert.deepEqual(left().sort(), ['grant 192.0.2.7', 'revoke 192.0.2.9'])
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    // As it was, and once more, after the first failure.
    sending.tell({ ...word, kind: 'revoke', until: now + 1000 })
    await wait(50)
    assert.ok(left().includes('revoke 192.0.2.7'))
    isAway = false
    assert.equal(await sending.settled(5000), true)
    assert.equal(fs.existsSync(file), false)
    sending.stop()
    assert.deepEqual(reports, [])
  })

  it('is told first of what was revoked', async () => {
    const store = storeOf()
    const waiting = ['grant', 'revoke', 'grant'].map((kind, i) => ({
      ...{ ...word, kind: kind as 'grant' | 'revoke' },
      ...{ source: `192.0.2.${i}`, until: now + 1000 },
    }))
    store.keep(waiting, () => waiting)
    const sent: string[] = []
    const sending = new Sending({
      ...{ node: 'here', group, epoch: now, store: storeOf(), now: () => now },
      ...{ onSent: () => undefined, onTrouble: () => undefined },
      send: texts => {
        for (const text of texts) {
          const message = decodeMessage(text, group, limits)
          if (typeof message !== 'string' && message.kind !== 'hello') sent.push(`${message.kind} ${message.source}`)
        }
        return Promise.resolve(texts.map((_, i) => `${now}-${i}`))
      },
    })
    for (const one of storeOf().recall(limits)) sending.tell(one)
    sending.open()
    assert.equal(await sending.settled(5000), true)
    assert.deepEqual(sent, ['revoke 192.0.2.1', 'grant 192.0.2.0', 'grant 192.0.2.2'])
  })

  it('counts only with the key of the fleet, and a line that is damaged takes no other with it', () => {
    const kept = [{ ...word, kind: 'grant' as const, until: now + 1000 }]
    storeOf(Buffer.alloc(32)).keep(kept, () => kept)
    assert.deepEqual(left(), [])
    storeOf().keep(kept, () => kept)
    fs.writeFileSync(file, `rubbish\n${fs.readFileSync(file, 'latin1')}half`)
    assert.deepEqual(left(), ['grant 192.0.2.7'])
  })

  it('is no link of another user', () => {
    fs.rmSync(file)
    const elsewhere = path.join(directory, 'elsewhere')
    fs.writeFileSync(elsewhere, 'mine')
    fs.symlinkSync(elsewhere, file)
    const kept = [{ ...word, kind: 'grant' as const, until: now + 1000 }]
    storeOf().keep(kept, () => kept)
    assert.equal(fs.readFileSync(elsewhere, 'utf8'), 'mine')
    assert.deepEqual(left(), ['grant 192.0.2.7'])
  })
})

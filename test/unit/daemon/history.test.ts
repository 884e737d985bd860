import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import * as path from 'node:path'
import { describe, it, mock } from 'node:test'
import type { Log } from '../../../src/controller/report/log-interface.js'
import { History, withHistory } from '../../../src/daemon/history.js'
import { readHistory } from '../../../src/daemon/history-lines.js'
import { sleep } from '../../support/commands.js'
import { logSetUp } from './log-support.js'

describe('the history', () => {
  const setUp = logSetUp()
  const troubles: string[] = []
  const open = (bytes = 100_000) => {
    troubles.length = 0
    return new History(setUp.directory, bytes, message => troubles.push(message))
  }
  const file = (name = 'history') => path.join(setUp.directory, name)
  const messages = () => readHistory(setUp.directory).map(({ message }) => message)
  const sizeOf = (name: string) => (fs.existsSync(file(name)) ? fs.statSync(file(name)).size : 0)

  it('has each message with its time, its level and its fields, in order', async () => {
    const history = open()
    history.add('info', 'first', { event: 'knock-accepted', source: '192.0.2.7', services: ['ssh'] })
    history.add('warn', 'second')
    // An entry of the other file, which comes between by its time alone.
    await sleep(5)
    history.add('debug', 'third', { event: 'knock-refused', reason: 'bad-hash' })
    await sleep(5)
    history.add('error', 'fourth')
    const [first, second] = readHistory(setUp.directory)
    assert.deepEqual(messages(), ['first', 'second', 'third', 'fourth'])
    const { time, ...rest } = first ?? assert.fail()
    assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000)
    const expected = {
      level: 'info',
      message: 'first',
      event: 'knock-accepted',
      source: '192.0.2.7',
      services: ['ssh'],
    }
    assert.deepEqual(rest, expected)
    assert.equal(second?.level, 'warn')
    assert.equal(fs.statSync(file()).mode & 0o777, 0o600)
  })

  it('takes no more than its bytes, and keeps the latest', () => {
    const history = open(10_000)
    for (let i = 0; i < 1000; i++) history.add('info', `message ${i}`)
    assert.ok(sizeOf('history') + sizeOf('history.old') <= 10_000)
    assert.equal(messages().at(-1), 'message 999')
    assert.ok(messages().length > 50)
  })

  it('is not pushed out by what needs no key, or a copy of a knock', () => {
    const history = open(10_000)
    history.add('info', 'alice knocks', { event: 'knock-accepted' })
    history.add('info', 'too often', { event: 'knock-refused', reason: 'rate-limited' })
    for (let i = 0; i < 500; i++) {
      history.add('debug', 'rubbish', { event: 'knock-refused', reason: 'malformed' })
      history.add('info', 'copy', { event: 'knock-refused', reason: 'replayed' })
      history.add('info', 'and more', { suppressed: 7 })
    }
    assert.deepEqual(
      messages().filter(message => !['rubbish', 'copy', 'and more'].includes(message)),
      ['alice knocks', 'too often'],
    )
    assert.ok(sizeOf('history-unverified') + sizeOf('history-unverified.old') <= 10_000)
  })

  it('goes on after a restart in the middle of a line, and leaves out what is damaged', () => {
    open().add('info', 'before')
    fs.appendFileSync(file(), '{"time":"2030-01-01T00:00:00.000Z","level":"info","mess')
    open().add('info', 'after')
    fs.appendFileSync(
      file(),
      '[]\n7\nnull\n{"time":"x","level":"info","message":"m"}\n{"time":"2030-01-01","level":"no","message":"m"}\n',
    )
    assert.deepEqual(messages(), ['before', 'after'])
  })

  it('is made again after it was removed, or its directory', () => {
    const history = open()
    history.add('info', 'lost')
    fs.rmSync(file())
    history.add('info', 'second')
    assert.deepEqual(messages(), ['second'])
    fs.rmSync(setUp.directory, { recursive: true })
    history.add('info', 'third')
    assert.deepEqual(messages(), ['third'])
    assert.deepEqual(troubles, [])
  })

  it('follows no link, and says once that it is not written', () => {
    const target = file('target')
    fs.writeFileSync(target, 'precious')
    fs.symlinkSync(target, file())
    const history = open()
    history.add('info', 'one')
    history.add('info', 'two')
    assert.equal(fs.readFileSync(target, 'utf8'), 'precious')
    assert.equal(troubles.length, 1)
    assert.match(troubles[0] ?? '', /^the history cannot be written: ELOOP/)
    assert.throws(() => readHistory(setUp.directory), /ELOOP/)
    fs.rmSync(file())
    history.add('info', 'three')
    fs.rmSync(file())
    fs.symlinkSync(target, file())
    history.add('info', 'four')
    assert.equal(troubles.length, 2)
  })

  it('a full disk costs lines, and no more', () => {
    const history = open()
    history.add('info', 'before')
    const real = fs.writeSync
    const full = mock.method(fs, 'writeSync', (descriptor: number, rest: Buffer, from: number) => {
      if (from > 0) throw new Error('ENOSPC: no space left on device')
      return real(descriptor, rest, 0, 5)
    })
    syncBuiltinESMExports()
    history.add('info', 'lost')
    full.mock.restore()
    syncBuiltinESMExports()
    history.add('info', 'after')
    assert.deepEqual(messages(), ['before', 'after'])
    assert.deepEqual(troubles, ['the history cannot be written: ENOSPC: no space left on device'])
  })

  it('gets what the log gets, at every level', () => {
    const logged: string[] = []
    const say = (message: string) => void logged.push(message)
    const log: Log = { error: say, warn: say, info: say, debug: say }
    const both = withHistory(log, open())
    for (const level of ['error', 'warn', 'info', 'debug'] as const) both[level](level)
    assert.deepEqual(logged, ['error', 'warn', 'info', 'debug'])
    assert.deepEqual(messages(), logged)
  })
})

/** Reads of files whose file systems do not answer: how many there are at a time, and that the others go on. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { KeyFile, KeyPath } from '../../../src/config/index.js'
import { PatientReads } from '../../../src/controller/verify/patient-reads.js'

const file = (written: string, user: string | null = null): KeyPath => ({ written, user, path: `/${written}` })
const home = (user: string) => file(`~${user}/keys`, user)
const found: KeyFile = { stamp: 'now', content: Buffer.from('keys') }

describe('reads of files that may hang', () => {
  /** What lets a hanging read come back, by the name of its file. */
  let hanging: Map<string, () => void>
  let began: string[]
  let reads: PatientReads

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] })
    hanging = new Map()
    began = []
    reads = new PatientReads(({ written }) => {
      began.push(written)
      if (!written.startsWith('~') && !written.startsWith('hung')) return Promise.resolve(found)
      return new Promise(resolve => hanging.set(written, () => resolve(found)))
    })
  })
  afterEach(() => mock.timers.reset())

  async function late(path: KeyPath, known?: string) {
    const reading = reads.read(path, known)
    mock.timers.tick(3000)
    return reading
  }

  it('one that hangs does not count, and is not begun again before it has come back', async () => {
    const refused = await late(home('una'))
    assert.equal(refused?.content, '~una/keys cannot be read: its file system does not answer')
    assert.equal(await reads.read(home('una'), refused.stamp), undefined, 'the same refusal is no news')
    assert.deepEqual(began, ['~una/keys'])
    hanging.get('~una/keys')?.()
    await new Promise(setImmediate)
    const again = reads.read(home('una'), refused.stamp)
    hanging.get('~una/keys')?.()
    assert.equal(await again, found)
  })

  it('homes leave threads to other files, and all together one to the rest of the daemon', async () => {
    await late(home('una'))
    await late(home('dora'))
    const refused = await reads.read(home('tria'))
    assert.equal(refused?.content, '~tria/keys cannot be read: the file systems of other files do not answer')
    assert.equal(await reads.read(file('local')), found)
    await late(file('hung'))
    assert.match(String((await reads.read(file('local')))?.content), /^local cannot be read: the file systems of other/)
    assert.deepEqual(began, ['~una/keys', '~dora/keys', 'local', 'hung'])
    hanging.get('~una/keys')?.()
    await new Promise(setImmediate)
    assert.equal(await reads.read(file('local')), found)
  })
})

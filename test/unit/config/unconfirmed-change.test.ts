import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { removeUnconfirmed, writeUnconfirmed, writtenChange } from '../../../src/config/unconfirmed-change.js'

describe('the file of a change that is not confirmed', () => {
  let directory: string
  let config: string
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-unconfirmed-'))
    config = path.join(directory, 'pkctl.yaml')
  })
  afterEach(() => {
    fs.rmSync(directory, { recursive: true })
  })
  const change = { services: [], added: ['ssh'], files: [], units: { enabled: [], started: [] } }

  it('can be read by all who can read the configuration, and by no others', () => {
    for (const mode of [0o644, 0o600]) {
      fs.writeFileSync(config, '')
      fs.chmodSync(config, mode)
      writeUnconfirmed(config, change)
      assert.equal(fs.statSync(`${config}.unconfirmed`).mode & 0o777, mode)
      fs.rmSync(`${config}.unconfirmed`)
    }
  })

  const added = () => writtenChange(config)?.added
  const other = { ...change, added: ['web'] }

  it('is written by the first of two commands alone, which can write more of its change', () => {
    const mark = writeUnconfirmed(config, change)
    assert.throws(() => writeUnconfirmed(config, other), { code: 'EEXIST' })
    assert.deepEqual([added(), fs.readdirSync(directory)], [['ssh'], ['pkctl.yaml.unconfirmed']])
    const next = writeUnconfirmed(config, other, mark)
    assert.deepEqual(added(), ['web'])
    assert.throws(() => writeUnconfirmed(config, change, mark), { code: 'EEXIST' })
    assert.notEqual(next, mark)
  })

  it('is written in the place of what cannot be read, of one of an earlier boot, and of one that was left behind', () => {
    const file = `${config}.unconfirmed`
    writeUnconfirmed(config, other)
    const written = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>
    const { pid } = spawnSync('true')
    for (const left of ['{', { boot: 'before' }, { writer: `${pid} 1` }, { writer: `${process.pid} 1` }]) {
      fs.writeFileSync(file, typeof left === 'string' ? left : JSON.stringify({ ...written, ...left }))
      writeUnconfirmed(config, change)
      assert.deepEqual(added(), ['ssh'])
    }
  })

  it('is removed by the command that wrote it alone', () => {
    const mark = writeUnconfirmed(config, change)
    const next = writeUnconfirmed(config, other, mark)
    for (const others of [mark, undefined]) {
      removeUnconfirmed(config, others)
      assert.deepEqual(added(), ['web'])
    }
    removeUnconfirmed(config, next)
    assert.equal(added(), undefined)
    removeUnconfirmed(config, next)
  })
})

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { writeUnconfirmed, writtenChange } from '../../../src/config/unconfirmed-change.js'

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
    }
  })

  it('is written by the first of two commands alone, and by the next one in the place of what cannot be read', () => {
    const added = () => writtenChange(config)?.added
    writeUnconfirmed(config, change, 'first')
    assert.throws(() => writeUnconfirmed(config, { ...change, added: ['web'] }, 'first'), { code: 'EEXIST' })
    assert.deepEqual([added(), fs.readdirSync(directory)], [['ssh'], ['pkctl.yaml.unconfirmed']])
    writeUnconfirmed(config, { ...change, added: ['web'] })
    assert.deepEqual(added(), ['web'])
    fs.writeFileSync(`${config}.unconfirmed`, '{')
    writeUnconfirmed(config, change, 'first')
    assert.deepEqual(added(), ['ssh'])
  })
})

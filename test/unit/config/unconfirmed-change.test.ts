import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { writeUnconfirmed } from '../../../src/config/unconfirmed-change.js'

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
})

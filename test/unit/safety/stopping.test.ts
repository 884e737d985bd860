import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStopping } from '../../../src/safety/stopping.js'

describe('the end of a boot', () => {
  it('is what systemd says, and is assumed in doubt', async () => {
    const states = ['stopping\n', 'offline\n', 'running\n', 'degraded\n', 'starting\n']
    const said = await Promise.all(states.map(state => isStopping(() => Promise.resolve(state))))
    assert.deepEqual(said, [true, true, false, false, false])
    assert.equal(await isStopping(() => Promise.reject(new Error('no systemctl'))), true)
  })
})

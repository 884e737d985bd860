/** How a program ends. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { describe, it } from 'node:test'
import { dist } from '../../support/commands.js'

const file = path.join(dist, 'src/cli/output/exit-with.js')
const statusOf = (promise: string) =>
  spawnSync(process.execPath, ['-e', `import(${JSON.stringify(file)}).then(m => m.exitWith(${promise}))`]).status

describe('a program', () => {
  it('ends with its status', () => {
    assert.deepEqual([statusOf('Promise.resolve(0)'), statusOf('Promise.resolve(2)')], [0, 2])
  })

  it('has not succeeded if nothing is left that could give it a status', () => {
    assert.equal(statusOf('new Promise(() => {})'), 1)
  })

  it('ends with 1 after an error that no code expects', () => {
    assert.equal(statusOf("Promise.reject(new Error('x'))"), 1)
  })
})

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { it } from 'node:test'
import { root } from '../support/commands.js'

it('the model of claims and replay memory has no wrong state, and each of its faults has one', t => {
  const { status, stdout, stderr } = spawnSync('node', ['scripts/check-model.js'], { cwd: root, encoding: 'utf8' })
  if (stdout.startsWith('skipped')) return void t.skip(stdout.trim())
  assert.equal(status, 0, stdout + stderr)
  assert.match(stdout, /^as expected: the model: no knock opens twice/)
  assert.equal(stdout.match(/^as expected: [A-Z_]+: a knock can open twice/gm)?.length, 5)
})

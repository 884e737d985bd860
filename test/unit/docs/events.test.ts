/** docs/json.md has each event that the code can log. integration/json compares the fields of real ones. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { it } from 'node:test'
import { root } from '../../support/commands.js'
import { documentedEvents } from '../../support/event-table.js'

const directory = path.join(root, 'src')
const sources = fs
  .readdirSync(directory, { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts'))
  .map(file => fs.readFileSync(path.join(directory, file), 'utf8'))

it('docs/json.md lists the events of the log, and no others', () => {
  const plain = sources.flatMap(text => [...text.matchAll(/\bevent: '([a-z-]+)'/g)].map(([, event = '']) => event))
  const audits = sources.flatMap(text => [...text.matchAll(/\bsay\('(grants-[a-z]+)'/g)].map(([, event = '']) => event))
  const selfTest = ['passed', 'failed', 'impossible'].map(result => `self-test-${result}`)
  const knocks = new Set(['knock-not-granted'])
  const logged = new Set([...plain, ...audits, ...selfTest].filter(event => !knocks.has(event)))
  assert.ok(logged.size > 10)
  assert.deepEqual([...documentedEvents().keys()].sort(), [...logged].sort())
})

it('and the actions of changes', () => {
  const code = sources.find(text => text.includes('const changeActions = ')) ?? ''
  const actions = [...(/const changeActions = \[([^]*?)\n\]/.exec(code)?.[1] ?? '').matchAll(/'([a-z-]+)'/g)]
  const text = fs.readFileSync(path.join(root, 'docs/json.md'), 'utf8')
  const documented = /^- `action`: ([^:]*):/m.exec(text)?.[1] ?? ''
  assert.deepEqual(
    [...documented.matchAll(/`([a-z-]+)`/g)].map(([, action]) => action).sort(),
    actions.map(([, action]) => action).sort(),
  )
  assert.ok(actions.length > 10)
})

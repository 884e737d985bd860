/** The manual pages: roff that groff takes without a warning, with every option and every key of the configuration. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { commandTree } from '../../src/cli/help/command-tree.js'
import { createPktables } from '../../src/cli/pktables-program.js'
import { createProgram } from '../../src/cli/program.js'
import { realTerminal } from '../../src/cli/output/real-terminal.js'
import { hostEntryOptions } from '../../src/client/host-entry.js'
import { configJsonSchema, configurationKeys } from '../../src/config/schema.js'
import { must, root, run } from '../support/commands.js'

const program = commandTree(await createProgram(realTerminal()))

describe('the manual pages', () => {
  const directory = fs.mkdtempSync('/tmp/pkctl-manual-')
  const text = new Map<string, string>()

  before(async () => {
    await must([process.execPath, path.join(root, 'scripts/manual.js'), directory, '1.2.3'])
    for (const name of fs.readdirSync(directory)) {
      const page = path.join(directory, name)
      text.set(name, await must(['sh', '-c', `groff -man -Tascii -P-cbou -rLL=1000n ${page}`]))
    }
  })
  after(() => fs.rmSync(directory, { recursive: true }))

  const pages = ['hosts.yaml.5', 'pkctl.1', 'pkctl.yaml.5', 'pkctld.8', 'pktables.1']

  it('are these', () => {
    assert.deepEqual([...text.keys()].sort(), pages)
  })

  for (const name of pages) {
    it(`${name}: groff has nothing to warn of`, async () => {
      const page = path.join(directory, name)
      const { status, stderr } = await run(['groff', '-ww', '-man', '-Tutf8', '-z', page])
      assert.deepEqual([status, stderr], [0, ''])
      const man = await run(['man', '--warnings', '-l', page], { env: { MANPAGER: 'cat', MAN_KEEP_STDERR: '1' } })
      assert.deepEqual([man.status, man.stderr], [0, ''])
    })
  }

  it('pkctl.1 has every command with every option, and what the help says besides', () => {
    const page = text.get('pkctl.1') as string
    const inside = program.commands.flatMap(({ name, commands }) =>
      commands.map(each => ({ ...each, name: `${name} ${each.name}` })),
    )
    assert.ok(inside.some(({ name }) => name === 'user add'))
    for (const { name, options, afterword } of [...program.commands, ...inside]) {
      const [, part = ''] = new RegExp(`^   ${name}\\n(.*?)(?=^   \\S|^[A-Z])`, 'ms').exec(page) ?? []
      assert.match(part, new RegExp(`^ *pkctl ${name}`, 'm'))
      for (const { names } of options.filter(option => !option.names.includes('--help'))) {
        assert.ok(
          part.split('\n').some(line => line.trimStart().startsWith(names.join(', '))),
          `${name} ${names.join()}`,
        )
      }
      const [example = ''] = /^ {2}pkctl .*/m.exec(afterword) ?? []
      assert.ok(part.includes(example.trim()), example)
    }
  })

  it('pkctld.8 has the options of the daemon and its signals', () => {
    const page = text.get('pkctld.8') as string
    assert.match(page, /--config file/)
    assert.match(page, /SIGHUP reloads/)
    assert.match(page, /WATCHDOG_USEC/)
  })

  it('pktables.1 has its commands', () => {
    for (const { name } of commandTree(createPktables(realTerminal())).commands) {
      assert.match(text.get('pktables.1') as string, new RegExp(`^ *pktables ${name}`, 'm'))
    }
  })

  it('hosts.yaml.5 has every option of host entries with what it means', () => {
    const page = text.get('hosts.yaml.5') as string
    const all = Object.values(hostEntryOptions()).flatMap(options => Object.entries(options))
    assert.ok(all.length > 20)
    for (const [name, description] of all) {
      assert.notEqual(description, '', name)
      assert.match(page, new RegExp(`^ +${name}( |$)`, 'm'))
    }
  })

  it('the pages of programs say what their exit status means', () => {
    for (const name of ['pkctl.1', 'pktables.1', 'pkctld.8'])
      assert.match(text.get(name) as string, /^EXIT STATUS\n +0 +\S[^]*\n +2 +The command line is wrong/m, name)
  })

  it('pkctl.yaml.5 has every key of the configuration with what it means', () => {
    const page = text.get('pkctl.yaml.5') as string
    const places = ['queue', 'marks', 'limits', 'socket', 'log', 'services.*', 'services.*.log', 'credentials.*']
    for (const place of places) {
      const keys = configurationKeys(place)
      assert.ok(keys.length > 0, place)
      for (const key of keys)
        assert.match(page, new RegExp(`^ +${place.replace('*', 'NAME')}.${key}(: \\w+)?( |$)`, 'm'))
    }
    const sections = Object.entries(
      (configJsonSchema() as { properties: Record<string, { description: string }> }).properties,
    )
    assert.ok(sections.length > 8)
    for (const [name, { description }] of sections) {
      assert.ok(page.replaceAll(/\s+/g, ' ').includes(`${name} ${description.replaceAll(/\s+/g, ' ')}`), name)
    }
  })
})

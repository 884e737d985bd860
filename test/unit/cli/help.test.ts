/** Help: within 80 columns, in groups, and without loading what a line does not need. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Command } from 'commander'
import { createProgram } from '../../../src/cli/program.js'
import { wrapHelp } from '../../../src/cli/help/wrap-help.js'
import type { Terminal } from '../../../src/util/index.js'

const silent = () => undefined
const terminal: Terminal = {
  ...{ out: silent, error: silent, hint: silent, warn: silent, errorLine: silent, difference: silent },
  strong: text => text,
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: part => (text += wrapHelp(part, 80)), getOutHelpWidth: () => 80 })
  command.outputHelp()
  return text
}

const withInner = (command: Command): Command[] => [command, ...command.commands.flatMap(withInner)]

describe('help', () => {
  it('has lines of at most 80 characters, of each command', async () => {
    for (const command of withInner(await createProgram(terminal))) {
      const long = helpOf(command)
        .split('\n')
        .filter(line => line.length > 80)
      assert.deepEqual(long, [], command.name())
    }
  })

  it('lists the same commands, with the same words, whether they are loaded or not', async () => {
    const [loaded, names] = [await createProgram(terminal), await createProgram(terminal, ['--help'])]
    assert.equal(helpOf(names), helpOf(loaded))
    assert.match(
      helpOf(names),
      /^Services and grants:\n {2}setup [^]*^Client commands:\n[^]*^Moving from other systems:\n/m,
    )
  })

  it('loads the command that a line names, and no other', async () => {
    const commandsFor = async (...line: string[]) => {
      const program = await createProgram(terminal, line)
      return program.commands.filter(({ options }) => options.length > 0).map(command => command.name())
    }
    assert.deepEqual(await commandsFor('list', '--json'), ['list'])
    assert.deepEqual(await commandsFor('help', 'add'), ['add'])
    assert.deepEqual(await commandsFor('--help'), [])
    assert.deepEqual(await commandsFor('nonsense'), [])
    assert.ok((await commandsFor('completion', 'bash')).length > 15)
  })
})

describe('wrapping', () => {
  it('joins the lines of a paragraph, and no others', () => {
    const full = `${'word '.repeat(23)}words`
    const text = `\n${full}\nand more of it.\nA line of its own.\n\nExamples:\n  ${'x'.repeat(90)}\n`
    const lines = wrapHelp(text, 80).split('\n')
    assert.ok(lines.includes('A line of its own.'))
    assert.match(lines.join('\n'), /words\s+and more of it\.\nA line/)
    assert.ok(lines.includes(`  ${'x'.repeat(90)}`), 'an example stays as it is')
  })

  it('changes nothing where there is room', () => {
    const text = 'Short.\nLines.\n\n  pkctl list\n'
    assert.equal(wrapHelp(text, 80), text)
  })
})

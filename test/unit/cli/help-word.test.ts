import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { describe, it } from 'node:test'
import { main } from '../../../src/cli/program.js'

/** What one command line printed, and its exit status. */
async function pkctl(context: TestContext, ...argv: string[]) {
  const said = { error: [] as string[], hint: [] as string[] }
  // Commander writes the help itself.
  const written = context.mock.method(process.stdout, 'write', () => true)
  const status = await main(argv, {
    out: () => undefined,
    error: message => void said.error.push(message),
    hint: message => void said.hint.push(message),
    warn: () => undefined,
    strong: text => text,
    errorLine: () => undefined,
    difference: () => undefined,
  }).finally(() => written.mock.restore())
  return { status, help: written.mock.calls.map(({ arguments: [text] }) => String(text)).join(''), ...said }
}

describe('pkctl help', () => {
  for (const line of [['knock'], ['user'], ['user', 'add'], ['list', 'ssh']]) {
    it(`shows the help of ${line.join(' ')}`, async context => {
      const { status, help } = await pkctl(context, 'help', ...line)
      const command = line[0] === 'list' ? 'list' : line.join(' ')
      assert.deepEqual([status, help.split('\n')[0]?.startsWith(`Usage: pkctl ${command} `)], [0, true], help)
      assert.equal(help, (await pkctl(context, ...line, '--help')).help)
    })
  }

  it('shows the help of the program without a command', async context => {
    const { status, help } = await pkctl(context, 'help')
    assert.equal(status, 0)
    assert.match(help, /^Usage: pkctl \[options\] \[command\]\n/)
  })

  it('shows the options that a command needs in its first line', async context => {
    const { help } = await pkctl(context, 'help', 'init')
    assert.equal(help.split('\n')[0], 'Usage: pkctl init <name> --port <ports> [options]')
    assert.match(help, /^ {2}--port <[^]*?\(required\)/m)
  })

  for (const [line, error, hint] of [
    [['knok'], "unknown command 'knok'", 'did you mean knock?'],
    [['user', 'ad'], "unknown command 'ad'", 'did you mean add?'],
    [['revoke'], "unknown command 'revoke'", 'did you mean delete?'],
  ] as const) {
    it(`reports that there is no command ${line.join(' ')}`, async context => {
      const { status, help, ...said } = await pkctl(context, 'help', ...line)
      assert.deepEqual([status, help, said], [2, '', { error: [error], hint: [hint] }])
    })
  }
})

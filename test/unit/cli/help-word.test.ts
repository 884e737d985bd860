import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { main } from '../../../src/cli/program.js'

/** What one command line printed, and its exit status. */
async function pkctl(...argv: string[]) {
  const said = { error: [] as string[], hint: [] as string[] }
  let help = ''
  const status = await main(argv, {
    out: text => void (help += `${text}\n`),
    error: message => void said.error.push(message),
    hint: message => void said.hint.push(message),
    warn: () => undefined,
    strong: text => text,
    errorLine: () => undefined,
    difference: () => undefined,
  })
  return { status, help, ...said }
}

describe('pkctl help', () => {
  for (const line of [['knock'], ['user'], ['user', 'add'], ['list', 'ssh']]) {
    it(`shows the help of ${line.join(' ')}`, async () => {
      const { status, help } = await pkctl('help', ...line)
      const command = line[0] === 'list' ? 'list' : line.join(' ')
      assert.deepEqual([status, help.split('\n')[0]?.startsWith(`Usage: pkctl ${command} `)], [0, true], help)
      assert.equal(help, (await pkctl(...line, '--help')).help)
    })
  }

  it('shows the help of the program without a command', async () => {
    const { status, help } = await pkctl('help')
    assert.equal(status, 0)
    assert.match(help, /^Usage: pkctl \[options\] \[command\]\n/)
  })

  it('shows the options that a command needs in its first line', async () => {
    const { help } = await pkctl('help', 'init')
    assert.equal(help.split('\n')[0], 'Usage: pkctl init <name> --port <ports> [options]')
    assert.match(help, /^ {2}--port <[^]*?\(required\)/m)
  })

  for (const [line, error, hint] of [
    [['knok'], "unknown command 'knok'", 'did you mean knock?'],
    [['user', 'ad'], "unknown command 'ad'", 'did you mean add?'],
    [['deny'], "unknown command 'deny'", 'did you mean delete?'],
  ] as const) {
    it(`reports that there is no command ${line.join(' ')}`, async () => {
      const { status, help, ...said } = await pkctl('help', ...line)
      assert.deepEqual([status, help, said], [2, '', { error: [error], hint: [hint] }])
    })
  }
})

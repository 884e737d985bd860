import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { main } from '../../../src/cli/program.js'

describe('pkctl log', () => {
  let directory: string
  let config: string

  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString()
  const lines = () => [
    { time: ago(7200), level: 'info', message: 'configuration reloaded', asker: 'root' },
    {
      time: ago(600),
      level: 'info',
      message: 'knock by a opens ssh',
      event: 'knock-accepted',
      credential: 'a',
      source: '192.0.2.7',
    },
    { time: ago(60), level: 'warn', message: 'two\nlines\u001b[31m' },
    {
      time: ago(30),
      level: 'info',
      message: 'for another',
      event: 'knock-accepted',
      credential: 'b',
      source: '2001:db8::1',
      'on-behalf-of': '192.0.2.9',
    },
  ]
  const refused = () => [
    {
      time: ago(45),
      level: 'debug',
      message: 'refused: bad hash',
      event: 'knock-refused',
      reason: 'bad-hash',
      credential: 'a',
      source: '198.51.100.1',
    },
  ]

  /** What one command line printed, and its exit status. */
  async function log(...argv: string[]) {
    const said = { out: [] as string[], error: [] as string[], hint: [] as string[], warn: [] as string[] }
    const status = await main(['log', '--config', config, ...argv], {
      out: line => void said.out.push(line),
      error: message => void said.error.push(message),
      hint: message => void said.hint.push(message),
      warn: message => void said.warn.push(message),
      strong: text => `*${text}*`,
      errorLine: line => void said.error.push(line),
      difference: () => undefined,
    })
    return { status, ...said }
  }
  const messagesOf = async (...argv: string[]) => {
    const { status, out, error } = await log(...argv)
    assert.deepEqual([status, error], [0, []])
    return out.map(line => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}(.*)$/.exec(line)?.[1])
  }

  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-log-'))
    config = path.join(directory, 'pkctl.yaml')
    fs.writeFileSync(config, `state-directory: ${directory}`, { mode: 0o600 })
    const text = (entries: object[]) => entries.map(entry => `${JSON.stringify(entry)}\n`).join('')
    fs.writeFileSync(path.join(directory, 'history'), text(lines()))
    fs.writeFileSync(path.join(directory, 'history-unverified'), text(refused()))
  })
  after(() => fs.rmSync(directory, { recursive: true }))

  it('shows both files in the order of time, each message on one line', async () => {
    assert.deepEqual(await messagesOf(), [
      'configuration reloaded',
      'knock by a opens ssh',
      '*warn: two\\u000alines\\u001b[31m*',
      'refused: bad hash',
      'for another',
    ])
  })

  it('selects by time, credential, source and outcome, and the last ones', async () => {
    const cases: [string[], string[]][] = [
      [
        ['--credential', 'a'],
        ['knock by a opens ssh', 'refused: bad hash'],
      ],
      [
        ['--source', '192.0.2.0/24'],
        ['knock by a opens ssh', 'for another'],
      ],
      [['--source', '2001:db8::1'], ['for another']],
      [['--refused'], ['refused: bad hash']],
      [
        ['--since', '50s'],
        ['refused: bad hash', 'for another'],
      ],
      [['--since', '1h30m', '--credential', 'a', '--lines', '1'], ['refused: bad hash']],
      [
        ['--since', ago(50)],
        ['refused: bad hash', 'for another'],
      ],
      [['-n', '0'], []],
    ]
    for (const [argv, expected] of cases) assert.deepEqual(await messagesOf(...argv), expected, argv.join(' '))
  })

  it('prints the fields as they are with --json', async () => {
    const { out } = await log('--json', '--credential', 'b')
    const { jsonVersion, time, ...rest } = JSON.parse(out[0] ?? '') as Record<string, unknown>
    const { time: _, ...expected } = lines()[3] ?? assert.fail()
    assert.deepEqual([jsonVersion, typeof time, rest], [1, 'string', expected])
  })

  it('refuses what it cannot select by', async () => {
    for (const argv of [
      ['--since', 'x'],
      ['--since', '3w'],
      ['--source', 'here'],
      ['--lines', '-1'],
    ]) {
      const { status, out, error } = await log(...argv)
      assert.deepEqual([status, out, error.length], [2, [], 1], argv.join(' '))
    }
  })

  it('says so where there is no history, or a configuration with a mistake', async () => {
    const empty = path.join(directory, 'empty.yaml')
    fs.writeFileSync(empty, `state-directory: ${directory}/none`, { mode: 0o600 })
    const none = await log('--config', empty)
    assert.deepEqual([none.status, none.out], [0, []])
    assert.match(none.hint.join(), /has no history: pkctld writes it/)
    const broken = path.join(directory, 'broken.yaml')
    fs.writeFileSync(broken, 'services: 7')
    assert.match(
      (await log('--config', broken)).warn.join(),
      /cannot be used, so this is the history in \/var\/lib\/pkctl/,
    )
  })
})

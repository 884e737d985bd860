/**
 * What a shell, nft, a log or a terminal would take for more than text, in every place of the configuration that takes
 * text: it is refused in one line, or it stays text.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isMap, isScalar, parseDocument, visit } from 'yaml'
import { ConfigError } from '../../src/config/config-error.js'
import { loadConfig } from '../../src/config/load.js'
import { oneLine } from '../../src/util/text.js'
import { pkctl, root, run, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'

/** Each would make a file `m` in the working directory if a shell came to read it. */
const hostile = [
  '$(>m)',
  '`>m`',
  ';>m;',
  '|>m',
  '& >m',
  "'\n>m\n'",
  '"; >m; "',
  '>m',
  '-m',
  '{ip}%IP%',
  '\u001b]0;m\u0007',
  '*',
  '%n%s',
]

/** The sample with all its examples in force, and without what two examples of it contradict. */
function sample(): string {
  const text = fs.readFileSync(path.join(root, 'templates/pkctl.yaml'), 'utf8')
  return text.replaceAll(/^# {2}/gm, '  ').replace(': /var/lib/pkctl/', ': ')
}

describe('metacharacters', () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
  })
  after(() => lab.remove())

  const inLab = (name: string) => path.join(lab.directory, name)
  const marked = () => [lab.directory, '/', process.cwd()].filter(directory => fs.existsSync(path.join(directory, 'm')))

  it('in every text of the configuration, and every name, are refused in one line each, or kept as they are', () => {
    for (const key of ['laptop', 'hourly.open', 'hourly.close']) lab.file(`keys/${key}`, `secret of ${key}\n`)
    lab.file('keys/phone', `0x${'5a'.repeat(32)}\n`)
    for (const key of ['telephone', 'telephone-hmac']) lab.file(`keys/${key}`, `secret of ${key}\n`)
    lab.file('sequences', ' 7000,8000:udp\n')
    const main = lab.file('pkctl.yaml', sample())
    loadConfig(main)
    const document = parseDocument(sample())
    const places = new Map<string, (text: string) => void>()
    visit(document, {
      Scalar: (key, node, ancestors) => {
        if (typeof node.value !== 'string' && key !== 'key') return
        const names = ancestors.flatMap(one =>
          isMap(one) ? [] : 'key' in one && isScalar(one.key) ? [String(one.key.value)] : [],
        )
        const isName = key === 'key' && names.length === 2
        if (key === 'key' && !isName) return
        places.set(`${names.join('.')}${isName ? ' (name)' : ''} ${String(node.value)}`, text => {
          const before = node.value
          node.value = text
          fs.writeFileSync(main, String(document))
          node.value = before
        })
      },
    })
    assert.ok(places.size > 60, `${places.size} places`)
    let refused = 0
    for (const [place, put] of places) {
      for (const text of hostile) {
        put(text)
        try {
          loadConfig(main)
        } catch (error) {
          assert.ok(error instanceof ConfigError, `${place}: ${String(error)}`)
          for (const { message, hint = '' } of error.problems) {
            assert.equal(message + hint, oneLine(message + hint), place)
          }
          refused++
        }
      }
    }
    assert.ok(refused > 300, `${refused} refused`)
    assert.deepEqual(marked(), [])
  })

  it('that are allowed stay text from the start of the daemon to its end', async () => {
    const all = `$(>m)\`>m\`;>m;|>m&'"{x}%IP%`
    const quoted = JSON.stringify(all)
    const log = inLab(`log ${all.replaceAll('/', '')}`)
    lab.file(`keys/${all}`, 'test\n')
    lab.file(`list ${all}`, ' 7100,7200\n')
    const shown = lab.file('show', '#!/bin/sh\nprintf "%s\\n" "$@" >"$0.out"\n', 0o755)
    const config = lab.file(
      `pk ${all}.yaml`,
      `log: { level: debug, format: text, to: ${JSON.stringify(log)} }
state-directory: ${JSON.stringify(inLab(`state ${all}`))}
socket: { path: ${JSON.stringify(lab.socket)} }
services:
  ssh: { port: 22, log: { prefix: "$(>m)\`>m\`;>m;|>m&'{x}%IP%" } }
credentials:
  a: { type: pkd, tag: ";>m;", key: ${quoted}, opens: [ssh] }
  b: { type: pkd, tag: "\`>m\`", key-file: ${JSON.stringify(`keys/${all}`)}, opens: [ssh] }
  c: { type: rotating, open-secret: ${quoted}, close-secret-file: ${JSON.stringify(`keys/${all}`)}, opens: [ssh] }
  d: { type: one-time, sequences-file: ${JSON.stringify(`list ${all}`)}, opens: [ssh] }
  e: { type: pkd, tag: RUNS, key: test, on-open: { command: [${shown}, ${quoted}, "x{credential}$(>m)"] } }
`,
    )
    await lab.serve(22)
    const daemon = lab.startDaemon(config)
    await until(async () => (await lab.pkctl('status')).status === 0 || daemon.child.exitCode !== null)
    assert.equal(daemon.child.exitCode, null, daemon.output)
    for (const [tag, key] of [
      [';>m;', all],
      ['`>m`', 'test'],
      ['RUNS', 'test'],
    ] as const) {
      const sent = { host: server4, port: knockPort, from: client4, hex: knockHex({ tag, key }) }
      await lab.peer({ send: sent })
    }
    await until(() => fs.existsSync(`${shown}.out`))
    await until(() => fs.readFileSync(`${shown}.out`, 'utf8').endsWith('\n'))
    assert.equal(fs.readFileSync(`${shown}.out`, 'utf8'), `${all.replace('%IP%', client4)}\nxe$(>m)\n`)
    assert.equal(await lab.opens(server4, client4), 'open')
    for (const args of [
      ['list'],
      ['status'],
      ['reload'],
      ['check', '--config', config],
      ['sequence', 'c', '--config', config],
    ]) {
      assert.equal((await lab.pkctl(...args)).status, 0, args.join(' '))
    }
    daemon.child.kill('SIGUSR1')
    daemon.child.kill('SIGUSR2')
    assert.equal(await daemon.stop(), 0)
    assert.match(fs.readFileSync(log, 'utf8'), /knock by a from 10\.77\.0\.2 opens ssh/)
    assert.deepEqual(marked(), [])
  })

  it('in what is typed are refused in one line, and change nothing', async () => {
    const before = (await lab.on(['nft', '-s', '-t', 'list', 'ruleset'])).stdout
    for (const text of ['$(>m)', '`>m`;>m', "'\n>m\n'", '\u001b]0;m\u0007', '*']) {
      for (const args of [
        ['init', text, '--port', '25'],
        ['init', 'mail', '--port', text],
        ['init', 'mail', '--port', '25', '--allow', text],
        ['init', 'mail', '--port', '25', '--window', text],
        ['add', text, '--service', 'ssh'],
        ['add', client4, '--service', text],
        ['add', client4, '--service', 'ssh', '--for', text],
        ['remove', text],
        ['list', text],
      ]) {
        const { status, stderr } = await run(['ip', 'netns', 'exec', lab.server, process.execPath, pkctl, ...args], {
          cwd: lab.directory,
        })
        assert.notEqual(status, 0, args.join(' '))
        // eslint-disable-next-line no-control-regex
        assert.match(stderr, /^(pkctl: (error|hint): [^\u0000-\u001f]+\n)+$/, args.join(' '))
      }
    }
    assert.equal((await lab.on(['nft', '-s', '-t', 'list', 'ruleset'])).stdout, before)
    assert.deepEqual(marked(), [])
  })
})

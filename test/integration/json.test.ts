/** Every command with --json, on a real kernel: docs/json.md has each field that comes out, and no other. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createProgram, main } from '../../src/cli/program.js'
import { realTerminal } from '../../src/cli/output/real-terminal.js'
import type { Background, Result } from '../support/commands.js'
import { pkctl, program, root, run } from '../support/commands.js'
import { undocumented } from '../support/event-table.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'
import { startSshd } from '../support/sshd.js'

type Fields = Map<string, Set<string>>

/** The fields of each section, with their types. */
function documented(): Map<string, Fields> {
  const text = fs.readFileSync(path.join(root, 'docs/json.md'), 'utf8')
  return new Map(
    text.split(/^## /m).map(section => {
      const name = section.slice(0, section.indexOf('\n')).replace(/^`pkctl (.*)`$/, '$1')
      const rows = [...section.matchAll(/^\| `([^`]+)` *\| ([^|]+?) *\|/gm)]
      return [name, new Map(rows.map(([, field = '', types = '']) => [field, new Set(types.split(' or '))]))]
    }),
  )
}

const typeOf = (value: unknown): string => {
  if (value === null) return 'null'
  if (!Array.isArray(value)) return typeof value
  return value.length === 0 ? 'empty list' : `list of ${typeof value[0]}s`
}

/** Adds the fields of the object; what the document does not enter, such as the commands of nft, stays one field. */
function collect(object: object, known: Fields, seen: Fields, before = ''): void {
  for (const [key, value] of Object.entries(object) as [string, unknown][]) {
    const field = before + key
    seen.set(field, (seen.get(field) ?? new Set()).add(typeOf(value)))
    const inside = Array.isArray(value) ? `${field}[].` : `${field}.`
    if (value === null || typeof value !== 'object' || ![...known.keys()].some(name => name.startsWith(inside)))
      continue
    for (const one of (Array.isArray(value) ? value : [value]) as object[]) collect(one, known, seen, inside)
  }
}

/** integration/fleet.test.ts shows it. */
const inFleet = ['fleet']

describe('--json', () => {
  let lab: Lab
  let sshd: Background
  let ssh: readonly string[]
  const sections = documented()

  before(async () => {
    lab = await Lab.create()
    const started = await startSshd(lab)
    sshd = started.sshd
    ssh = ['ssh', ...started.options, '-b', client4, '-o', 'ConnectTimeout=10', `root@${server4}`]
  })
  after(() => lab.remove())

  const on = (...argv: string[]) => run(['nsenter', `--target=${sshd.child.pid}`, '--mount', '--net', ...argv])
  const pk = (...args: string[]): Promise<Result> => on(process.execPath, pkctl, ...args)
  async function must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await pk(...args)
    assert.equal(status, 0, stdout + stderr)
    return stdout
  }

  /**
   * The objects that the document must describe: all of its fields in at least one of them, and no other. `elsewhere`:
   * fields that another test shows.
   */
  function compare(section: string, objects: readonly object[], elsewhere: readonly string[] = []): void {
    const known = sections.get(section)
    assert.ok(known, `docs/json.md has no section for ${section}`)
    const seen: Fields = new Map()
    for (const object of objects) {
      assert.equal(Object.keys(object)[0], 'jsonVersion')
      assert.equal((object as { jsonVersion: unknown }).jsonVersion, 1)
      collect(object, known, seen)
    }
    const expected = [...known.keys()].filter(field => !elsewhere.includes(field))
    assert.deepEqual([...seen.keys()].sort(), expected.sort())
    for (const [field, types] of seen) {
      const allowed = known.get(field) ?? new Set()
      for (const type of types) {
        const isKnown = allowed.has(type) || (type === 'empty list' && [...allowed].some(one => one.startsWith('list')))
        assert.ok(isKnown, `${section}: ${field} is ${type}, and the document says ${[...allowed].join(' or ')}`)
      }
    }
  }

  const parse = (text: string) => JSON.parse(text) as object
  const runs = async (...lines: string[][]) => {
    const objects: object[] = []
    for (const line of lines) objects.push(parse(await must(...line, '--json')))
    return objects
  }
  const allowMe = async (words: string) => {
    const { stdout, stderr } = await lab.from([...ssh, `${process.execPath} ${pkctl} ${words} --allow-me --json`])
    assert.notEqual(stdout, '', stderr)
    return parse(stdout)
  }

  it('init, add, delete, list and remove', async () => {
    const init = ['init', 'ssh', '--port', '22,6000-6010', '--syn', '--allow', '192.0.2.0/24', '--log']
    const initialised = await runs([...init, '--dry-run'], init)
    await must('remove', 'ssh')
    compare('init', [...initialised, await allowMe('init ssh --port 22 --syn')])
    await must(...init)
    await must('init', 'web', '--port', '80', '--syn', '--log', '--log-limit', 'none')
    await must('init', 'vpn', '--port', '51820', '--udp')
    const add = ['add', '192.0.2.7', '--service', 'ssh', '--note', 'on call']
    const added = await runs([...add, '--for', '60', '--dry-run'], [...add, '--for', '60'], add, [...add, '--for', '9'])
    const granted = await on('nft', 'add element inet pkctl pk-ssh-4 { 192.0.2.7 timeout 60s }')
    assert.equal(granted.status, 0, granted.stderr)
    const more = await runs([...add, '--for', '5'], ['add', 'localhost', '--service', 'ssh', '--for', '5'])
    compare('add', [...added, ...more], inFleet)
    await must('delete', '127.0.0.1', '--service', 'ssh')
    // integration/client-ssh-daemon shows these.
    const byKnock = ['', '[].source', '[].credential', '[].user', '[].key', '[].at'].map(
      name => `services[].grants[].knocks${name}`,
    )
    compare('list', await runs(['list'], ['list', 'vpn']), byKnock)
    const tables = await on(process.execPath, program('pktables'), 'list', '--json')
    compare('list', [parse(tables.stdout)], byKnock)
    const remove = ['delete', '192.0.2.7', '--service', 'ssh']
    compare('delete', await runs([...remove, '--dry-run'], remove, remove), inFleet)
    await must('add', '192.0.2.7', '--service', 'ssh')
    compare('revoke', await runs(['revoke', '192.0.2.7', '--connections']))
    compare('remove', await runs(['remove', 'ssh', '--dry-run'], ['remove', 'ssh'], ['remove', 'ssh']))
    for (const name of ['web', 'vpn']) await must('remove', name)
  })

  it('apply, confirm and close', async () => {
    await must('init', 'ssh', '--port', '2200', '--syn')
    await must('init', 'old', '--port', '2222', '--syn')
    const file = lab.config('services: { ssh: { port: 22 }, web: { port: 8080 } }')
    const applied = await runs(['apply', file, '--dry-run'], ['apply', file, '--confirm', '1m'])
    compare('confirm', await runs(['confirm']))
    await must('init', 'web', '--port', '8081', '--syn')
    await must('apply', file, '--confirm', '1m')
    compare('rollback', await runs(['rollback']))
    const pruned = await runs(['apply', file, '--prune'])
    await must('remove', 'ssh')
    compare('apply', [...applied, ...pruned, await allowMe(`apply ${file}`)])
    await must('remove', 'web')
    compare('close', await runs(['close', '--config', file, '--dry-run'], ['close', '--config', file]))
    for (const name of ['ssh', 'web']) await must('remove', name)
  })

  it('status and sequence', async () => {
    const services =
      'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'
    const door = '\n  door: { type: sequence, sequence: [7000, "8000:udp", 9000], opens: [ssh] }'
    const rotating = '\n  hourly: { type: rotating, open-secret: "123", close-secret: "321", opens: [ssh] }'
    const file = lab.config(services + door + rotating)
    compare('sequence', await runs(['sequence', 'door', '--config', file], ['sequence', 'hourly', '--config', file]))
    const daemon = await lab.daemon(file)
    await lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex({ key: 'other' }) } })
    await daemon.says(/wrong key|bad-hash|refused/i)
    const status = ['status', '--socket', lab.socket]
    await must('remove', 'ssh', '--socket', lab.socket)
    await must('apply', file, '--confirm', '1m', '--socket', lab.socket)
    const good = await runs(status)
    assert.match(
      await must(...status),
      /^ {2}a change is rolled back in \d+ s: pkctl confirm keeps it, pkctl rollback/m,
    )
    await must('confirm')
    lab.config('services: { ssh: { port: none } }')
    assert.equal((await pk('reload', '--socket', lab.socket)).status, 1)
    // integration/owned and integration/self-test show these.
    const elsewhere = ['table.because', 'unwatchedBecause', 'selfTest.because', 'selfTest.cause']
    compare('status', [...good, ...(await runs(status))], elsewhere)
    await daemon.stop()
    await must('remove', 'ssh')
  })

  it('log', async () => {
    const services =
      'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'
    const file = lab.config(services)
    const daemon = await lab.daemon(file)
    const send = (hex: string) => ({ send: { host: server4, port: knockPort, from: client4, hex } })
    await lab.peer(send(knockHex({ key: 'other' })), send(knockHex()))
    await daemon.says(/opens ssh/)
    await daemon.stop()
    const lines = (await must('log', '--json', '--source', client4, '--config', file)).trimEnd().split('\n')
    const signed = ['also', 'prefix', 'user', 'key', 'key-id', 'serial']
    // unit/controller/knock-messages shows them.
    compare('log', lines.map(parse), ['on-behalf-of', ...signed])
    await must('remove', 'ssh')
  })

  it('log: each event has the fields of the document, also those of changes by every command', async () => {
    const file = lab.config(
      'services: { ssh: { port: 22 } }\ncredentials:\n  people: { type: ssh, authorized-keys: [keys], opens: [ssh] }\n',
    )
    const key = lab.file(
      'bob.pub',
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER bob\n',
    )
    lab.file('keys', '')
    await must('keygen', '--server', '--state-directory', path.join(lab.directory, 'state'))
    const daemon = await lab.daemon(file)
    const at = ['--socket', lab.socket]
    await must('init', 'web', '--port', '80', '--syn', ...at)
    await must('add', '192.0.2.7', '--service', 'web', '--for', '1h', ...at)
    await must('delete', '192.0.2.7', '--service', 'web', ...at)
    await must('add', '192.0.2.8', '--service', 'web', ...at)
    await must('revoke', '192.0.2.8', ...at)
    await must('remove', 'web', ...at)
    await must('user', 'add', 'bob', '--key', key, '--config', file)
    await must('user', 'revoke', 'bob', '--config', file, ...at)
    for (const [port, end] of [
      [2201, 'confirm'],
      [2202, 'rollback'],
    ] as const) {
      fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/port: \d+/, `port: ${port}`))
      await must('apply', file, '--confirm', '1m', ...at)
      await must(end)
    }
    await must('close', '--config', file, ...at)
    await must('reload', ...at)
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/port: \d+/, 'port: none'))
    assert.equal((await pk('reload', ...at)).status, 1)
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('port: none', 'port: 22'))
    assert.equal((await on('nft', 'delete table inet pkctl')).status, 0)
    await daemon.says(/restored \d+ ms after/)
    await daemon.stop()
    const entries = (await must('log', '-n', '1000', '--json', '--config', file)).trimEnd().split('\n').map(parse)
    const events = (entries as Record<string, unknown>[]).filter(
      ({ event }) => event !== undefined && !(typeof event === 'string' && event.startsWith('knock-')),
    )
    assert.deepEqual(
      events.map(undocumented).filter(problem => problem !== undefined),
      [],
    )
    const actions = new Set(events.flatMap(({ action }) => (action === undefined ? [] : [action])))
    const all = ['init', 'add', 'delete', 'revoke', 'remove', 'user-add', 'user-revoke', 'apply', 'confirm', 'rollback']
    assert.deepEqual([...actions].sort(), [...all, 'close', 'reload'].sort())
    assert.ok(events.filter(({ event }) => event === 'change').every(({ uid }) => uid === 0))
    assert.ok(['reload-refused', 'healed'].every(name => events.some(({ event }) => event === name)))
    await must('remove', 'ssh')
  })

  it('explain', async () => {
    const file = lab.config('services: { ssh: { port: 22 } }')
    await must('init', 'ssh', '--port', '22', '--syn')
    await must('add', client4, '--service', 'ssh', '--for', '1h')
    const at = ['--config', file]
    const knock = ['explain', knockHex(), '--from', '192.0.2.9', '--port', String(knockPort), ...at]
    compare('explain', await runs(['explain', client4, ...at], ['explain', '192.0.2.9', ...at], knock))
    await must('remove', 'ssh')
  })

  it('user', async () => {
    const file = lab.config(
      'credentials:\n  people: { type: ssh, authorized-keys: [keys], revoked-keys: revoked, opens: [ssh] }\n',
    )
    const key = lab.file(
      'alice.pub',
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER alice\n',
    )
    const at = ['--config', file]
    const add = [
      'user',
      'add',
      'alice',
      '--key',
      key,
      '--opens',
      'ssh',
      '--window',
      '60',
      '--expires',
      '2037-01-31',
      ...at,
    ]
    const added = await runs(add, add)
    compare('user add', added)
    compare('user list', await runs(['user', 'list', ...at]))
    compare('user show', await runs(['user', 'show', 'alice', ...at]))
    const { status } = await pk('user', 'revoke', 'alice', ...at, '--json')
    assert.equal(status, 0)
    await must(...add.map(word => (word === 'alice' ? 'bob' : word)))
    compare('user revoke', await runs(['user', 'revoke', 'bob', ...at], ['user', 'revoke', 'bob', ...at]), [
      // integration/users-ssh has a daemon with grants of users.
      ...['revoked[].service', 'revoked[].source', 'kept[].service', 'kept[].source', 'kept[].secondsLeft'],
    ])
  })

  it('doctor: a list, and what a finding is about', async () => {
    const file = lab.config(
      'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: short, opens: [ssh] }',
    )
    fs.chmodSync(file, 0o644)
    const foreign = 'add table inet f; add chain inet f c { type filter hook input priority 0; policy drop; }'
    assert.equal((await on('nft', foreign)).status, 0)
    await must('init', 'ssh', '--port', '22', '--syn')
    const { stdout, status } = await pk('doctor', '--config', file, '--json')
    assert.equal(status, 1)
    const findings = JSON.parse(stdout) as object[]
    assert.ok(Array.isArray(findings))
    compare('doctor', findings)
    await on('nft', 'delete table inet f')
    await must('remove', 'ssh')
  })

  /** One line of stderr, and nothing on stdout. */
  function errorOf({ stdout, stderr, status }: Result): object {
    assert.equal(stdout, '')
    assert.match(stderr, /^\{.*\}\n$/)
    const error = parse(stderr) as { exitCode: number }
    assert.equal(error.exitCode, status)
    return error
  }

  it('an error of every command that has it is one object, with the exit status as without', async () => {
    const program = await createProgram(realTerminal())
    const commands = program.commands.flatMap(one => [
      { name: one.name(), options: one.options },
      ...one.commands.map(inner => ({ name: `${one.name()} ${inner.name()}`, options: inner.options })),
    ])
    const able = commands.filter(({ options }) => options.some(({ long }) => long === '--json')).map(({ name }) => name)
    const described = [...sections.keys()].filter(name => /^[a-z]+( [a-z]+)?$/.test(name))
    assert.deepEqual(able.sort(), described.sort())
    const errors: object[] = []
    for (const name of able) {
      const lines: string[] = []
      const wrong = () => assert.fail(`${name} speaks in lines`)
      const speaks = { ...realTerminal(), error: wrong, hint: wrong, errorLine: (line: string) => lines.push(line) }
      const status = await main([...name.split(' '), '--json', '--no-such-option'], speaks)
      errors.push(errorOf({ stdout: '', stderr: `${lines.join('\n')}\n`, status }))
      assert.equal(status, 2)
    }
    const broken = lab.file('broken.yaml', 'services: { ssh: { port: none }, web: { port: 0, hook: x } }')
    for (const [status, ...line] of [
      [1, 'add', '192.0.2.7', '--service', 'none'],
      [2, 'add', '0.0.0.0', '--service', 'none'],
      [1, 'status', '--socket', lab.file('none', '')],
      [1, 'apply', broken],
    ] as const) {
      const error = await pk(...line, '--json')
      assert.equal(error.status, status, line.join(' '))
      errors.push(errorOf(error))
    }
    compare('Errors', errors)
  })

  it('warnings and hints are objects, too', async () => {
    const init = await pk('init', 'ssh', '--port', '22', '--json')
    const remove = await pk('remove', 'ssl', '--json')
    await must('remove', 'ssh')
    const lines = (init.stderr + remove.stderr).trimEnd().split('\n')
    compare('Warnings', lines.map(parse))
  })

  it('pktables and commands without it speak in lines', async () => {
    const tables = await on(process.execPath, program('pktables'), 'list', 'none', '--json')
    assert.equal((errorOf(tables) as { message: string }).message, 'there is no service none')
    assert.match((await pk('check', '--json')).stderr, /^pkctl: error: unknown option '--json'\n/)
    assert.match((await pk('list', '--', '--json')).stderr, /^pkctl: error: /)
  })
})

/** `pkctl apply`: services as a file says, a way back that needs nobody, and warnings for whoever would be shut out. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { pkctl, run } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { startSshd } from '../support/sshd.js'

interface Listed {
  readonly name: string
  readonly window: number
  readonly grants: readonly { source: string; by: string; secondsLeft: number | null }[]
}

describe('pkctl apply', () => {
  let lab: Lab
  let sshd: Background

  before(async () => {
    lab = await Lab.create()
    sshd = (await startSshd(lab)).sshd
    await lab.serve(2222, 8080)
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const { name } of await list()) await must('remove', name)
  })

  /** On the server, with the /run that sshd and all that it starts have. */
  const on = (...argv: string[]): Promise<Result> =>
    run(['nsenter', `--target=${sshd.child.pid}`, '--mount', '--net', ...argv])
  const pk = (...args: string[]) => on(process.execPath, pkctl, ...args)
  async function must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await pk(...args)
    assert.equal(status, 0, stdout + stderr)
    return stdout
  }
  const list = async () => (JSON.parse(await must('list', '--json')) as { services: Listed[] }).services
  const names = async () => (await list()).map(({ name }) => name)
  const ruleset = async () => (await on('nft', '-s', 'list', 'ruleset')).stdout
  const both = 'services:\n  ssh: { port: 22 }\n  web: { port: 8080, reject: reset }'

  it('makes, changes and keeps services in one transaction, and says what it changes', async () => {
    const file = lab.config(both)
    assert.match(
      await must('apply', file),
      /^\+ service ssh {2}22\/tcp {2}new connections, else drop.*\n\+ service web .*\nthe services are as \S+ says now\n$/,
    )
    assert.equal(await lab.opens(server4, stranger4, 8080), 'reset')
    await must('add', client4, '--service', 'ssh')
    assert.match(await must('apply', file), /^nothing to change: the services are as \S+ says\n$/)
    lab.config('services:\n  ssh: { port: [22, 2222], window: 120 }')
    const said = await must('apply', file)
    assert.match(said, /^~ ssh: ports 22 -> 22,2222\n~ ssh: window 60 -> 120\n/)
    assert.match(said, /service web is not in the file, and stays; --prune takes it away/)
    assert.equal(await lab.opens(server4, client4, 2222), 'open', 'the grant goes on')
    assert.equal(await lab.opens(server4, stranger4, 2222), 'timeout')
    assert.equal(await lab.opens(server4, stranger4, 8080), 'reset', 'web stays')
    assert.match(await must('apply', file, '--prune'), /^- service web {2}8080\/tcp /)
    assert.deepEqual(await names(), ['ssh'])
    assert.equal(await lab.opens(server4, stranger4, 8080), 'open')
    assert.match(await must('apply', file, '--prune'), /^nothing to change/)
  })

  it('shows with --dry-run what would change, as text and as JSON, and changes nothing', async () => {
    await must('init', 'ssh', '--port', '22', '--syn', '--window', '90')
    await must('init', 'old', '--port', '2222')
    const file = lab.config(both)
    const before = await ruleset()
    const said = await must('apply', file, '--prune', '--dry-run')
    assert.match(said, /^\+ service web {2}.*\n~ ssh: window 90 -> 60\n- service old {2}.*\nnothing was changed/)
    const json = JSON.parse(await must('apply', file, '--prune', '--dry-run', '--json')) as Record<string, unknown>
    assert.deepEqual(
      [json['changed'], json['added'], json['modified'], json['removed'], json['left'], json['dry-run']],
      [true, ['web'], ['ssh'], ['old'], [], true],
    )
    assert.equal(await ruleset(), before)
    const done = JSON.parse(await must('apply', file, '--json')) as Record<string, unknown>
    assert.deepEqual([done['changed'], done['left']], [true, ['old']])
    const again = JSON.parse(await must('apply', file, '--json')) as Record<string, unknown>
    assert.deepEqual([again['changed'], again['added'], again['modified']], [false, [], []])
  })

  it('a renamed service takes its port over; all pruned, no table is left behind', async () => {
    await must('apply', lab.config('services: { old: { port: 22 } }'))
    assert.match(
      await must('apply', lab.config('services: { ssh: { port: 22 } }')),
      /\+ service ssh .*\n- service old /,
    )
    assert.deepEqual(await names(), ['ssh'])
    await must('apply', lab.config(''), '--prune')
    assert.equal(await ruleset(), '')
  })

  it('colours differences on a terminal alone, and not with NO_COLOR', async () => {
    const file = lab.config(both)
    const shown = async (...variables: string[]) =>
      (
        await on(
          ...['env', 'TERM=xterm', ...variables, 'script', '-qec'],
          ...[`${process.execPath} ${pkctl} apply ${file} --dry-run`, '/dev/null'],
        )
      ).stdout
    assert.ok((await shown()).includes('\u001b[32m+ service ssh'))
    assert.doesNotMatch(await shown('NO_COLOR=1'), /\[32m/)
    assert.doesNotMatch(await must('apply', file, '--dry-run'), /\[32m/)
  })

  it('a broken file: all problems at once, as pkctl check tells them, and nothing is changed', async () => {
    await must('apply', lab.config(both))
    const before = await ruleset()
    const file = lab.config('services:\n  ssh: { port: 0 }\n  web: { prot: 1 }')
    const { status, stdout, stderr } = await pk('apply', file, '--prune')
    const checked = await pk('check', '--config', file)
    assert.deepEqual([status, stdout, stderr], [checked.status, '', checked.stderr])
    assert.equal(status, 1)
    assert.match(stderr, /services\.ssh\.port: [^]*services\.web: 'port' is missing/)
    assert.equal(await ruleset(), before)
    assert.equal((await pk('apply', '/nonexistent.yaml')).status, 1)
  })
})

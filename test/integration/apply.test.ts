/** `pkctl apply`: services as a file says, a way back that needs nobody, and warnings for whoever would be shut out. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { pkctl, run, sleep, terminalEnvironment, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'
import { startSshd, user } from '../support/sshd.js'

interface Listed {
  readonly name: string
  readonly window: number
  readonly grants: readonly { source: string; by: string; secondsLeft: number | null; at?: string }[]
}

/** What --allow-me grants, and says of itself. */
const ofSession = { source: client4, by: 'hand', secondsLeft: null, who: 'root', note: '--allow-me' }
const withoutTime = ({ at: _, ...grant }: Listed['grants'][number]) => grant

describe('pkctl apply', () => {
  let lab: Lab
  let sshd: Background
  let ssh: string[]

  before(async () => {
    lab = await Lab.create()
    const started = await startSshd(lab)
    sshd = started.sshd
    ssh = ['ssh', ...started.options]
    await lab.serve(2222, 8080)
  })
  after(() => lab.remove())
  afterEach(async () => {
    await pk('confirm')
    // One that has rolled back lives on for a second, and is none that the next test means.
    await until(async () => (await waitingProcesses()).length === 0)
    for (const { name } of await list()) await must('remove', name)
  })

  /** On the server, with the /run that sshd and all that it starts have. */
  const on = (...argv: string[]): Promise<Result> => onWith({}, ...argv)
  const onWith = (env: NodeJS.ProcessEnv, ...argv: string[]): Promise<Result> =>
    run(['nsenter', `--target=${sshd.child.pid}`, '--mount', '--net', ...argv], { env })
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
    assert.match(said, /service web is not in the file, and stays; --prune removes it/)
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
    const shown = async (env: NodeJS.ProcessEnv) => {
      const command = `${process.execPath} ${pkctl} apply ${file} --dry-run`
      return (await onWith({ ...terminalEnvironment, ...env }, 'script', '-qec', command, '/dev/null')).stdout
    }
    assert.ok((await shown({})).includes('\u001b[32m+ service ssh'))
    assert.doesNotMatch(await shown({ NO_COLOR: '1' }), /\[32m/)
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

  // ---- --confirm

  const rollbackSocket = '/run/pkctl-confirm/rollback.sock'
  const isPending = async () => (await on('test', '-e', rollbackSocket)).status === 0
  /** Does not wait until the time is over. */
  async function rollBackNow(): Promise<void> {
    for (const pid of await waitingProcesses()) process.kill(pid, 'SIGTERM')
    await rolledBack()
  }
  const rolledBack = () => until(async () => !(await isPending()))
  /** All packets are judged, and nobody is let in. */
  const cutting = 'services:\n  ssh: { port: 22, syn: false }\n  web: { port: 8080 }'
  /** What a user's ssh does with these words on the server. */
  const overSsh = (...words: string[]) =>
    lab.start('client', [...ssh, '-tt', '-b', client4, `${user}@${server4}`, ...words])
  /** Kills the processes of sshd that serve a connection, with which their terminals end. */
  async function killSessions(): Promise<void> {
    const { stdout } = await run(['pgrep', '--parent', String(sshd.child.pid)])
    for (const pid of stdout.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL')
  }
  /** Those that wait to roll back, of this lab alone. */
  async function waitingProcesses(): Promise<number[]> {
    const { stdout } = await run(['pgrep', '--full', '^pkctl-rollback'])
    const own = fs.readlinkSync(`/proc/${sshd.child.pid}/ns/mnt`)
    // A process of another test file may have ended since it was listed.
    const mounts = (pid: number) => {
      try {
        return fs.readlinkSync(`/proc/${pid}/ns/mnt`)
      } catch {
        return undefined
      }
    }
    const pids = stdout.split('\n').filter(Boolean).map(Number)
    return pids.filter(pid => mounts(pid) === own)
  }
  const program = `${process.execPath} ${pkctl}`

  it('--confirm: a real ssh session that the change cuts off gets its port back, and others theirs', async () => {
    await must('init', 'web', '--port', '8080', '--syn', '--reject', 'reset', '--window', '5m')
    await must('init', 'old', '--port', '2222', '--syn', '--allow', '192.0.2.0/24')
    await must('add', client4, '--service', 'web')
    await must('add', stranger4, '--service', 'old', '--for', '1h')
    const services = async () =>
      (await list()).map(({ grants, ...rest }) => ({ ...rest, grants: grants.map(g => g.source) }))
    const withoutCounters = (all: unknown) =>
      JSON.parse(JSON.stringify(all).replace(/(\w+Packets":)\d+/g, '$10')) as unknown
    const before = withoutCounters(await services())
    const file = lab.config(cutting)
    const session = overSsh(`echo here; ${program} apply ${file} --prune --confirm 10s --force; sleep 60`)
    await until(isPending)
    await until(async () => (await names()).join() === 'ssh,web')
    assert.equal(await lab.opens(server4, client4), 'timeout', 'shut out')
    assert.equal(await lab.opens(server4, client4, 2222), 'open', 'old was pruned')
    await killSessions()
    await rolledBack()
    assert.deepEqual(withoutCounters(await services()), before)
    assert.equal(await lab.opens(server4, client4), 'open')
    const again = await lab.from([...ssh, '-b', client4, `${user}@${server4}`, 'echo in again'])
    assert.equal(again.stdout, 'in again\n')
    await session.stop('SIGKILL')
  })

  it('--confirm: pkctl confirm keeps the change, and only once', async () => {
    const file = lab.config(both)
    assert.match(await must('apply', file, '--confirm', '1m'), /\npkctl confirm within 60 s keeps it; otherwise all/)
    assert.equal((await on('stat', '-c', '%a', '/run/pkctl-confirm', rollbackSocket)).stdout, '700\n600\n')
    assert.match(await must('confirm'), /^the change is kept, with \d\d s left\n$/)
    assert.equal(await isPending(), false)
    const { status, stderr } = await pk('confirm')
    assert.equal(status, 1)
    assert.match(stderr, /error: no change waits to be confirmed\n.*hint: .*rolled back/)
    await until(async () => (await waitingProcesses()).length === 0)
    assert.deepEqual(await names(), ['ssh', 'web'])
    assert.match(await must('apply', file, '--confirm', '3s'), /^nothing to change: [^\n]*\n$/)
    assert.equal(await isPending(), false, 'there is nothing to confirm')
  })

  it('--confirm: the user to whom the directory of the daemon belongs cannot reach the waiting change', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    await must('apply', lab.config('services:\n  ssh: { port: 22 }'))
    await on('chown', 'nobody', '/run/pkctl')
    const plant =
      'cd /run/pkctl && rm -rf -- * && ln -s /run/elsewhere pending.json && ln -s /run/elsewhere pending.json.new'
    assert.equal((await on(...nobody, 'sh', '-c', plant)).status, 0)
    await must('apply', lab.config(both), '--confirm', '1m')
    assert.equal((await on(...nobody, 'sh', '-c', 'rm -rf /run/pkctl/*')).status, 0)
    assert.match(await must('confirm'), /^the change is kept, with \d\d s left\n$/)
    assert.equal((await on('test', '-e', '/run/elsewhere')).status, 1)
    assert.deepEqual(await names(), ['ssh', 'web'])
  })

  it('--confirm: a second change waits its turn, one after a confirmed one need not', async () => {
    const file = lab.config(both)
    await must('apply', file, '--confirm', '5m')
    for (const more of [[], ['--confirm', '5s']]) {
      const { status, stderr } = await pk('apply', lab.config('services: {}'), '--prune', ...more)
      assert.equal(status, 1)
      assert.match(
        stderr,
        /an earlier change is not confirmed yet\n.*hint: pkctl confirm keeps it; pkctl rollback undoes it/,
      )
    }
    assert.deepEqual(await names(), ['ssh', 'web'])
    assert.match(await must('apply', file, '--prune', '--dry-run'), /- service web/, 'looking is allowed')
    await must('confirm')
    const json = JSON.parse(await must('apply', file, '--prune', '--confirm', '1s', '--json')) as Record<
      string,
      unknown
    >
    assert.equal(json['confirm-within'], 1)
    await rolledBack()
    assert.deepEqual(await names(), ['ssh', 'web'])
  })

  it('--confirm: pkctl rollback undoes the change at once', async () => {
    const none = await pk('rollback')
    assert.equal(none.status, 1)
    assert.match(none.stderr, /error: no change waits to be confirmed\n/)
    await must('init', 'web', '--port', '8081', '--syn')
    const file = lab.config(both)
    await must('apply', file, '--confirm', '5m')
    assert.match(await must('rollback'), /^the change is rolled back: .*ssh/)
    assert.equal(await isPending(), false)
    assert.deepEqual(await names(), ['web'])
    assert.equal(await lab.opens(server4, client4), 'open')
    await must('apply', file, '--confirm', '5m')
    assert.match(await must('rollback', '--json'), /"rolled-back":true,"details":\[/)
    await until(async () => (await waitingProcesses()).length === 0)
  })

  it('--confirm: grants that a wider prefix would swallow come back as they were', async () => {
    await must('init', 'ssh', '--port', '22', '--syn')
    await must('add', client4, '--service', 'ssh', '--for', '1h')
    await must('apply', lab.config('services: { ssh: { port: 22, prefix4: 24 } }'), '--confirm', '1m')
    assert.equal(await lab.opens(server4, stranger4), 'open')
    await rollBackNow()
    const [service] = await list()
    assert.deepEqual(
      service?.grants.map(({ source, by }) => [source, by]),
      [[client4, 'hand']],
    )
    assert.ok(
      service.grants.every(({ secondsLeft }) => secondsLeft !== null && secondsLeft > 3400 && secondsLeft < 3600),
    )
  })

  it('--confirm: what others did meanwhile stays, as far as it does not stand in the way', async () => {
    await must('apply', lab.config('services: { old: { port: 22 }, web: { port: 8080 } }'))
    await must('apply', lab.config('services: { ssh: { port: 22 } }'), '--prune', '--confirm', '1m')
    await must('init', 'mine', '--port', '8000-8100', '--syn')
    await rollBackNow()
    assert.deepEqual(await names(), ['mine', 'old'])
  })

  it('--confirm: a reload before the rollback does not keep the change, though the daemon knows the file', async () => {
    const entered = ['nsenter', `--target=${sshd.child.pid}`, '--mount', '--net']
    const file = lab.config('services: {}')
    const daemon = lab.start('server', [...entered, process.execPath, pkctl, 'daemon', '--config', file])
    await daemon.says(/listening on queue/)
    lab.config('services: { web: { port: 8080 } }')
    await must('apply', file, '--confirm', '5m')
    await must('reload', '--socket', lab.socket)
    assert.equal(await lab.opens(server4, client4, 8080), 'timeout')
    await rollBackNow()
    assert.equal(await lab.opens(server4, client4, 8080), 'open')
    await until(async () => !(await must('status', '--socket', lab.socket)).includes(' web ('))
    assert.deepEqual(await names(), [])
    assert.equal(await daemon.stop(), 0)
  })

  it('--confirm: the process that waits rolls back at once when it is ended, and needs no daemon', async () => {
    await must('apply', lab.config(both), '--confirm', '1h')
    const [waiting, ...others] = await waitingProcesses()
    assert.ok(waiting)
    assert.deepEqual(others, [])
    process.kill(waiting, 'SIGHUP')
    await sleep(500)
    assert.equal(await isPending(), true)
    process.kill(waiting, 'SIGTERM')
    await rolledBack()
    assert.deepEqual(await names(), [])
  })

  it('--confirm: takes a time from a second to a day', async () => {
    for (const time of ['0', '2d', 'soon', '-1']) {
      const { status, stderr } = await pk('apply', lab.config(both), '--confirm', time)
      assert.equal(status, 2, stderr)
    }
    assert.deepEqual(await names(), [])
  })

  // ---- the session

  /** Runs pkctl as a user who is logged in by ssh, through another program if there are words for one. */
  const fromSession = (words: string, from = client4, to = server4) =>
    lab.from([...ssh, '-b', from, '-o', 'ConnectTimeout=10', `${user}@${to}`, words.replace('pkctl', program)])

  it('init and apply refuse to cut off the session in which they are typed, unless --force says so', async () => {
    const file = lab.config(cutting)
    for (const [from, to] of [
      [client4, server4],
      [client6, server6],
    ] as const) {
      for (const words of ['pkctl init ssh --port 20-30', `pkctl apply ${file}`, `pkctl apply ${file} --confirm 10s`]) {
        const { status, stdout, stderr } = await fromSession(words, from, to)
        assert.equal(status, 1, words)
        assert.equal(stdout, '')
        assert.match(stderr, new RegExp(`error: your ssh session from ${from} would end: service ssh filters every`))
        assert.match(stderr, /hint: --allow-me grants it access/)
      }
    }
    assert.deepEqual(await names(), [])
    assert.equal(await isPending(), false)
    const shown = await fromSession(`pkctl apply ${file} --dry-run`)
    assert.equal(shown.status, 0)
    assert.match(shown.stderr, /warning: your ssh session from \S+ would end/)
    const other = await fromSession('pkctl init web --port 8080')
    assert.equal(other.status, 0)
    assert.doesNotMatch(other.stderr, /your ssh session/, 'its port is another')
  })

  it('they find the session behind sudo, which takes SSH_CONNECTION away, and believe none that is over', async () => {
    const { status } = await fromSession('env -u SSH_CONNECTION pkctl init ssh --port 22; exit $?')
    assert.equal(status, 1)
    const over = ['env', `SSH_CONNECTION=${client4} 50000 ${server4} 22`]
    const { stdout, stderr } = await on(...over, process.execPath, pkctl, 'init', 'ssh', '--port', '22')
    assert.match(stdout, /protects 22/)
    assert.doesNotMatch(stderr, /your ssh session/)
  })

  it('warn that the next connection would be refused where only new ones are judged', async () => {
    const first = await fromSession('pkctl init ssh --port 22 --syn; echo still here')
    assert.match(first.stdout, /service ssh protects 22\/tcp\nstill here\n/)
    assert.match(
      first.stderr,
      new RegExp(`session from ${client4} continues, but a new one from there will be refused: service ssh protects`),
    )
    await must('add', client4, '--service', 'ssh')
    const granted = await fromSession('pkctl init ssh --port 22 --syn --window 90')
    assert.deepEqual([granted.status, granted.stderr], [0, ''])
    await must('delete', client4, '--service', 'ssh')
    await must('init', 'ssh', '--port', '22', '--syn', '--allow', '10.77.0.0/30')
    const file = lab.config("services: { ssh: { port: 22, allow: ['10.77.0.0/30'] }, web: { port: 80, accept: true } }")
    const allowed = await fromSession(`pkctl apply ${file}`)
    assert.deepEqual([allowed.status, allowed.stderr], [0, ''])
  })

  it('a knock that lets the session in for a while does not keep it: that is said, and --allow-me makes up for it', async () => {
    await must('init', 'ssh', '--port', '22')
    const { status } = await on('nft', 'add element inet pkctl pk-ssh-4', `{ ${client4} timeout 300s }`)
    assert.equal(status, 0)
    const refused = await fromSession('pkctl init ssh --port 22 --window 90')
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, new RegExp(`would end: .* accepts ${client4} for longer than 4 min \\d+ s\\n`))
    assert.equal((await list())[0]?.window, 60)
    const { stdout, stderr } = await fromSession('pkctl init ssh --port 22 --allow-me; echo still here')
    assert.match(stdout, /still here/)
    assert.match(stderr, /hint: you have access without a time limit/)
    const byHand = (await list())[0]?.grants.filter(({ by }) => by === 'hand')
    assert.deepEqual(byHand?.map(withoutTime), [ofSession])
  })

  it('--allow-me grants the session access in the same transaction, and is undone with the change', async () => {
    const { stdout, stderr, status } = await fromSession('pkctl init ssh --port 22 --allow-me; echo still here')
    assert.equal(status, 0, stderr)
    assert.match(stdout, /still here/)
    assert.match(stderr, new RegExp(`hint: .*pkctl delete ${client4} --service ssh revokes it`))
    assert.deepEqual((await list())[0]?.grants.map(withoutTime), [ofSession])
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    const again = await fromSession('pkctl init ssh --port 22 --allow-me --json')
    assert.equal((JSON.parse(again.stdout) as { changed: boolean }).changed, false)
    await must('remove', 'ssh')
    const file = lab.config(cutting)
    const applied = await fromSession(`pkctl apply ${file} --allow-me --confirm 1m`)
    assert.match(applied.stdout, new RegExp(`\\+ grant ${client4} for ssh, without a time limit\n`))
    assert.equal(await lab.opens(server4, client4), 'open')
    await rollBackNow()
    assert.deepEqual(await names(), [])
    const timed = await fromSession(`pkctl init ssh --port 22 --syn --allow-me --for 8h`)
    assert.match(timed.stderr, /hint: you have access for 8 h; pkctl delete/)
    assert.ok(((await list())[0]?.grants[0]?.secondsLeft ?? 0) > 28_000)
    await must('remove', 'ssh')
    const { status: alone, stderr: why } = await pk('init', 'ssh', '--port', '22', '--allow-me')
    assert.equal(alone, 1)
    assert.match(why, /there is no ssh session whose address could be granted access/)
    assert.deepEqual(await names(), [])
  })
})

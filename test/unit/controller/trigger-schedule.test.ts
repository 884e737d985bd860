import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { DueTriggers } from '../../../src/controller/triggers/due-triggers.js'
import type { Log } from '../../../src/controller/report/log-interface.js'
import type { CommandRun } from '../../../src/controller/triggers/trigger-command.js'
import { TriggerSchedule } from '../../../src/controller/triggers/trigger-schedule.js'
import { credential, load, plainService } from '../config/config-support.js'

const limits = { triggersAtOnce: 2, triggersWaiting: 1 }

describe('the schedule of triggers', () => {
  let directory: string
  let now: number
  let runs: (CommandRun & { end: () => void })[]
  let said: string[]

  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-triggers-'))
    now = 1_700_000_000
    runs = []
    said = []
    mock.timers.enable({ apis: ['setTimeout'] })
  })
  afterEach(() => {
    mock.timers.reset()
    fs.rmSync(directory, { recursive: true })
  })

  const say = (message: string) => said.push(message)
  const log: Log = { error: say, warn: say, info: say, debug: say }
  const make = (yaml: string, services = new Map([['ssh', { ...plainService, name: 'ssh', window: 30 }]])) => {
    const triggers = new TriggerSchedule({
      log,
      due: DueTriggers.open(directory),
      run: run => new Promise(end => runs.push({ ...run, end })),
      now: () => now * 1000,
    })
    triggers.configure([credential(yaml)], services, limits)
    return triggers
  }
  const pass = (seconds: number) => {
    now += seconds
    mock.timers.tick(seconds * 1000)
  }
  const settle = () => new Promise(done => setImmediate(done))
  /** Those that begin meanwhile, too. */
  const endAll = async () => {
    for (const run of runs) {
      run.end()
      await settle()
    }
  }
  const argvs = () => runs.map(({ argv }) => argv.join(' '))
  const timed = 'type: pkd, key: x, opens: [ssh]'

  it('replaces what belongs to the knock, and tells it in the environment', () => {
    const words = '[/bin/a, "{ip} %IP%", "{family}{port}", "{service}", "{credential}", "{expires}", "{other}"]'
    make(`${timed}, on-open: {command: ${words}, user: u, group: g, timeout: 5}`).opened('c', '192.0.2.1')
    const [run] = runs
    assert.deepEqual(run?.argv, ['/bin/a', '192.0.2.1 192.0.2.1', '422', 'ssh', 'c', '1700000030', '{other}'])
    assert.deepEqual([run.user, run.group, run.timeout, run.name], ['u', 'g', 5, 'on-open of c'])
    assert.deepEqual(run.environment, {
      PKCTL_EVENT: 'open',
      PKCTL_IP: '192.0.2.1',
      PKCTL_FAMILY: '4',
      PKCTL_PORT: '22',
      PKCTL_SERVICE: 'ssh',
      PKCTL_CREDENTIAL: 'c',
      PKCTL_EXPIRES: '1700000030',
    })
  })

  it('takes the command of the family, and a shell only if asked', () => {
    const triggers = make(`${timed}, window: unlimited, on-open: {shell: 'a {ip}', command6: [/bin/b, '{expires}']}`)
    triggers.opened('c', '192.0.2.1')
    triggers.opened('c', '2001:db8::1')
    assert.deepEqual(argvs(), ['/bin/sh -c a 192.0.2.1', '/bin/b never'])
  })

  it('runs nothing for an empty command, for one family or both', () => {
    const triggers = make(`${timed}, on-open: {command: [/bin/a], shell6: ''}, on-close: {command: []}`)
    triggers.opened('c', '2001:db8::1')
    triggers.closed('c', '192.0.2.1')
    triggers.opened('gone', '192.0.2.1')
    assert.deepEqual(argvs(), [])
    triggers.opened('c', '192.0.2.1')
    assert.deepEqual(argvs(), ['/bin/a'])
  })

  const expiring = `${timed}, window: 60, on-open: {command: [/bin/on]}, on-expiry: {command: [/bin/off, '{ip}']}`

  it('runs on-expiry once, after the last of several knocks', async () => {
    const triggers = make(expiring)
    triggers.opened('c', '192.0.2.1')
    pass(50)
    triggers.opened('c', '192.0.2.1')
    await endAll()
    pass(50)
    assert.deepEqual(argvs(), ['/bin/on', '/bin/on'])
    pass(10)
    assert.deepEqual(argvs().slice(2), ['/bin/off 192.0.2.1'])
    pass(1000)
    assert.equal(runs.length, 3)
  })

  it('runs what fell due while nobody was there, and what was interrupted, but not what has ended', async () => {
    make(expiring).opened('c', '192.0.2.1')
    now += 61
    make(expiring)
    assert.deepEqual(argvs(), ['/bin/on', '/bin/off 192.0.2.1'])
    make(expiring)
    assert.deepEqual(argvs().slice(2), ['/bin/off 192.0.2.1'], 'the first was never seen to end')
    runs.at(-1)?.end()
    await settle()
    make(expiring)
    assert.equal(runs.length, 3)
  })

  it('forgets what was due for a trigger that is gone, and says so', async () => {
    make(expiring).opened('c', '192.0.2.1')
    now += 61
    make(`${timed}, on-open: {command: [/bin/on]}`)
    await settle()
    assert.deepEqual(argvs(), ['/bin/on'])
    assert.match(said.join('\n'), /on-expiry for 192\.0\.2\.1 by c is due, and the configuration has none any more/)
  })

  it('a close runs on-close, or on-expiry at once, and nothing later', async () => {
    const triggers = make(expiring)
    triggers.opened('c', '192.0.2.1')
    triggers.closed('c', '192.0.2.1')
    await endAll()
    assert.deepEqual(argvs(), ['/bin/on', '/bin/off 192.0.2.1'])
    runs = []
    const both = make(`${expiring}, on-close: {command: [/bin/close]}`)
    both.opened('c', '192.0.2.2')
    both.closed('c', '192.0.2.2')
    await endAll()
    pass(100)
    assert.deepEqual(
      argvs().filter(line => !line.endsWith('2.1')),
      ['/bin/on', '/bin/close'],
    )
  })

  it('what ends something runs after what began it, however long that takes', async () => {
    const triggers = make(`${expiring}, on-close: {command: [/bin/close]}`)
    triggers.opened('c', '192.0.2.1')
    triggers.closed('c', '192.0.2.1')
    triggers.opened('c', '192.0.2.2')
    await settle()
    assert.deepEqual(argvs(), ['/bin/on', '/bin/on'])
    assert.match(runs[0]?.name ?? '', /on-open/)
    runs[0]?.end()
    await settle()
    assert.deepEqual(argvs(), ['/bin/on', '/bin/on', '/bin/close'])
    pass(61)
    await settle()
    assert.equal(runs.length, 3, 'on-expiry of the other waits as well')
    runs[1]?.end()
    await settle()
    assert.deepEqual(argvs().slice(3), ['/bin/off 192.0.2.2'])
  })

  it('nothing that waits for another command begins after the end', async () => {
    const triggers = make(`${expiring}, on-close: {command: [/bin/close]}`)
    triggers.opened('c', '192.0.2.1')
    triggers.closed('c', '192.0.2.1')
    const stopped = triggers.stop()
    runs[0]?.end()
    await stopped
    await settle()
    assert.deepEqual(argvs(), ['/bin/on'])
    assert.equal(DueTriggers.open(directory).takeUntil(Infinity).length, 1, 'on-expiry ends it after a restart')
    assert.match(said.join(), /not run: 1 waiting trigger command/)
  })

  it('no more at once than asked, no more waiting than asked', async () => {
    const triggers = make(`${timed}, on-open: {command: [/bin/a, '{ip}']}`)
    for (const last of [1, 2, 3, 4]) triggers.opened('c', `192.0.2.${last}`)
    assert.deepEqual(argvs(), ['/bin/a 192.0.2.1', '/bin/a 192.0.2.2'])
    assert.deepEqual(said, ['on-open of c is not run: no more than 1 command can wait'])
    runs[0]?.end()
    await settle()
    assert.deepEqual(argvs().slice(2), ['/bin/a 192.0.2.3'])
  })

  it('what cannot be run because too many wait is not noted either, and fills no log', () => {
    const triggers = make(expiring)
    for (let last = 1; last <= 100; last++) triggers.opened('c', `192.0.2.${last}`)
    assert.equal(DueTriggers.open(directory).takeUntil(Infinity).length, 3)
    assert.ok(said.length > 0 && said.length < 10, `${said.length} lines`)
    now += 1
    triggers.opened('c', '192.0.2.1')
    assert.match(said.at(-1) ?? '', /on-open of c is not run: .*; and 9\d more/)
  })

  it('on-expiry runs for all, however many end at once', async () => {
    const due = DueTriggers.open(directory)
    for (let last = 1; last <= 50; last++) due.put({ credential: 'c', address: `192.0.2.${last}`, expires: now - last })
    due.close()
    make(expiring)
    for (let ended = 0; ended < 50; ended++) {
      assert.ok(runs.length - ended <= limits.triggersAtOnce)
      runs[ended]?.end()
      await settle()
    }
    assert.equal(new Set(argvs()).size, 50)
    assert.deepEqual(said, [])
    assert.deepEqual(DueTriggers.open(directory).takeUntil(Infinity), [])
  })

  it('closed twice, or closed as its time ends, it runs on-expiry once', async () => {
    const triggers = make(expiring)
    triggers.opened('c', '192.0.2.1')
    triggers.closed('c', '192.0.2.1')
    triggers.closed('c', '192.0.2.1')
    pass(100)
    runs[0]?.end()
    await settle()
    assert.deepEqual(argvs(), ['/bin/on', '/bin/off 192.0.2.1'])
  })

  it('a close that cannot be run leaves its end to on-expiry', async () => {
    const triggers = make(`${expiring}, on-close: {command: [/bin/close]}`)
    for (const last of [1, 2, 3]) triggers.opened('c', `192.0.2.${last}`)
    triggers.closed('c', '192.0.2.1')
    for (let ended = 0; ended < 3; ended++) {
      runs[ended]?.end()
      await settle()
    }
    pass(60)
    assert.ok(argvs().includes('/bin/off 192.0.2.1'), argvs().join())
  })

  it('a clock that is set ahead is noticed soon', async () => {
    make(expiring).opened('c', '192.0.2.1')
    await endAll()
    now += 50
    pass(30)
    assert.deepEqual(argvs(), ['/bin/on', '/bin/off 192.0.2.1'])
  })

  it('does not begin what it could not end: on-expiry that cannot be noted', () => {
    const full = mock.method(DueTriggers.prototype, 'put', () => {
      throw new Error('ENOSPC: no space left on device')
    })
    make(expiring).opened('c', '192.0.2.1')
    full.mock.restore()
    assert.deepEqual(argvs(), [])
    assert.match(said.join(), /on-open of c is not run for 192\.0\.2\.1, because its on-expiry cannot be noted: ENOSPC/)
  })

  it('one that opens nothing has a window of a minute', () => {
    const triggers = make("type: pkd, key: x, on-open: {command: [/bin/a, '{expires}{port}']}")
    triggers.opened('c', '192.0.2.1')
    assert.deepEqual(argvs(), [`/bin/a ${now + 60}`])
  })

  it('no address of any kind becomes more than one word', () => {
    const { config } = load(`credentials: {c: {type: pkd, key: x, on-open: {command: [/bin/a, 'a{ip}b']}}}`)
    assert.equal(config.credentials.length, 1)
    make("type: pkd, key: x, on-open: {command: [/bin/a, 'a{ip}b']}").opened('c', '2001:db8::1')
    assert.deepEqual(runs[0]?.argv, ['/bin/a', 'a2001:db8::1b'])
  })
})

describe('the file of what is due', () => {
  let directory: string
  beforeEach(() => (directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-due-'))))
  afterEach(() => fs.rmSync(directory, { recursive: true }))
  const grant = (last: number, expires: number) => ({ credential: 'c', address: `192.0.2.${last}`, expires })

  it('is read back without damaged lines, and a renewed one counts once', () => {
    const due = DueTriggers.open(directory)
    due.put(grant(1, 10))
    due.put(grant(2, 20))
    due.put(grant(1, 30))
    due.close()
    fs.appendFileSync(path.join(directory, 'due'), '\n{"credential":"c"\nrubbish\nnull\n{"credential":1}')
    const again = DueTriggers.open(directory)
    assert.deepEqual([again.takeUntil(19), again.next(), again.size], [[], 20, 2])
    assert.deepEqual(again.takeUntil(25), [grant(2, 20)])
    assert.deepEqual(again.takeUntil(25), [])
    again.remove(grant(2, 20))
    assert.deepEqual(DueTriggers.open(directory).takeUntil(99), [grant(1, 30)])
  })

  for (const address of ['$(touch /tmp/x)', '192.0.2.1;id', 'fe80::1%$x', '', '192.0.2.0/24']) {
    it(`takes nothing for an address that is none: ${address}`, () => {
      fs.writeFileSync(path.join(directory, 'due'), JSON.stringify({ credential: 'c', address, expires: 10 }))
      assert.deepEqual(DueTriggers.open(directory).takeUntil(99), [])
    })
  }

  it('a renewed one is not removed by the end of the earlier', () => {
    const due = DueTriggers.open(directory)
    due.put(grant(1, 10))
    const [early] = due.takeUntil(10)
    due.put(grant(1, 40))
    due.remove(early as ReturnType<typeof grant>)
    assert.deepEqual([due.size, due.next()], [1, 40])
  })

  it('does not grow with history', () => {
    const due = DueTriggers.open(directory)
    for (let i = 0; i < 2500; i++) due.put(grant(1, i))
    assert.ok(fs.statSync(path.join(directory, 'due')).size < 1100 * 70)
    assert.deepEqual(DueTriggers.open(directory).takeUntil(9999), [grant(1, 2499)])
  })

  for (const [name, take] of [
    ['removed', (file: string) => fs.rmSync(file)],
    ['renamed', (file: string) => fs.renameSync(file, `${file}.old`)],
    [
      'replaced',
      (file: string) => {
        fs.rmSync(file)
        fs.writeFileSync(file, '')
      },
    ],
  ] as const) {
    for (const when of ['at the next grant', 'at an interval']) {
      it(`is written again when another program has ${name} it, ${when}`, () => {
        const reports: string[] = []
        const due = DueTriggers.open(directory, message => reports.push(message))
        due.put(grant(1, 10))
        take(path.join(directory, 'due'))
        if (when === 'at an interval') due.keep()
        else due.put(grant(2, 20))
        assert.match(reports.join(), /^another program has removed or replaced \S+due; it is written again/)
        const expected = when === 'at an interval' ? [grant(1, 10)] : [grant(1, 10), grant(2, 20)]
        assert.deepEqual(DueTriggers.open(directory).takeUntil(99), expected)
      })
    }
  }

  it('says once that it cannot be written again, and stores nothing until it can', () => {
    const reports: string[] = []
    const due = DueTriggers.open(directory, message => reports.push(message))
    const file = path.join(directory, 'due')
    fs.rmSync(file)
    fs.mkdirSync(file)
    for (let i = 0; i < 2; i++) assert.throws(() => due.put(grant(1, 10)), /has removed or replaced/)
    assert.equal(reports.length, 1)
    fs.rmdirSync(file)
    due.put(grant(1, 10))
    assert.deepEqual(DueTriggers.open(directory).takeUntil(99), [grant(1, 10)])
  })
})

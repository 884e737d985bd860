import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { NotifyTarget } from '../../../src/config/types.js'
import type { CommandRun, Log } from '../../../src/controller/index.js'
import type { Notification } from '../../../src/daemon/notify/notification.js'
import { Notifier, withNotifications } from '../../../src/daemon/notify/notifier.js'

const secret = 'https://hooks.example/T0PSECRET'
const base = { events: ['healed', 'self-test-failed'], everySeconds: 600, timeoutSeconds: 30 } as const
const hook: NotifyTarget = { ...base, name: 'ops', webhook: secret }
const healed = { event: 'healed' }

describe('notifications', () => {
  let sent: Notification[]
  let runs: CommandRun[]
  let logged: string[]
  let trouble: Error | undefined
  let notifier: Notifier

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    ;[sent, runs, logged, trouble] = [[], [], [], undefined]
    const say = (message: string) => void logged.push(message)
    notifier = new Notifier({
      run: run => Promise.resolve(runs.push(run) > 0 && trouble ? trouble.message : undefined),
      send: (url, seconds, notification) => {
        assert.deepEqual([url, seconds], [secret, 30])
        sent.push(notification)
        return trouble ? Promise.reject(trouble) : Promise.resolve()
      },
      log: { error: say, warn: say, info: say, debug: say },
      now: Date.now,
    })
    notifier.use([hook])
  })
  afterEach(() => {
    notifier.stop()
    mock.timers.reset()
  })
  const settle = () => new Promise(setImmediate)

  it('are of the events that a target wants, and of no other message', () => {
    const lines: string[] = []
    const say = (message: string) => void lines.push(message)
    const plain: Log = { error: say, warn: say, info: say, debug: say }
    const log = withNotifications(plain, notifier)
    log.warn('rules restored', healed)
    log.warn('a key expires', { event: 'key-expiring' })
    log.warn('knock', { event: 'knock-accepted' })
    log.info('plain')
    assert.deepEqual(lines, ['rules restored', 'a key expires', 'knock', 'plain'])
    assert.deepEqual(
      sent.map(({ event, level, message }) => [event, level, message]),
      [['healed', 'warn', 'rules restored']],
    )
  })

  it('are told of what keeps valid knocks out as lock-out risks', async () => {
    notifier.use([{ ...hook, events: ['lockout-risk'] }])
    for (const event of ['knock-not-granted', 'grants-missing', 'reload-refused', 'healed'])
      notifier.add('error', event, { event })
    await settle()
    mock.timers.tick(600_000)
    assert.deepEqual(
      sent.map(({ event, message, suppressed }) => [event, message, suppressed]),
      [
        ['lockout-risk', 'knock-not-granted', 0],
        ['lockout-risk', 'reload-refused', 1],
      ],
    )
  })

  it('by a command that fails are logged at most once in 10 minutes', async () => {
    const command = { ...base, name: 'page', run: { argv: ['/bin/false'] }, user: null, group: null, everySeconds: 60 }
    notifier.use([command])
    trouble = new Error('ended with exit status 1')
    for (let minute = 0; minute < 12; minute++) {
      notifier.add('warn', 'again', healed)
      mock.timers.tick(60_000)
      await settle()
    }
    assert.ok(runs.length >= 12)
    assert.deepEqual(logged, Array(2).fill('notify page failed: ended with exit status 1'))
  })

  it('come once in their time for each event; the last of those in between follows', async () => {
    for (const message of ['one', 'two', 'three']) notifier.add('warn', message, healed)
    notifier.add('error', 'deaf', { event: 'self-test-failed' })
    assert.deepEqual(
      sent.map(({ message, suppressed }) => [message, suppressed]),
      [
        ['one', 0],
        ['deaf', 0],
      ],
    )
    await settle()
    mock.timers.tick(600_000)
    assert.deepEqual([sent.at(-1)?.message, sent.at(-1)?.suppressed], ['three', 1])
    await settle()
    mock.timers.tick(600_000)
    notifier.add('warn', 'four', healed)
    assert.deepEqual([sent.length, sent.at(-1)?.message], [4, 'four'])
  })

  it('that fail are logged once in a while, and without the URL', async () => {
    trouble = new Error('the webhook cannot be reached: ECONNREFUSED')
    notifier.add('warn', 'one', healed)
    notifier.add('error', 'deaf', { event: 'self-test-failed' })
    await settle()
    assert.deepEqual(logged, ['notify ops failed: the webhook cannot be reached: ECONNREFUSED'])
  })

  it('do not pile up at a webhook that does not answer', async () => {
    const all = ['healed', 'self-test-failed', 'self-test-passed', 'lockout-risk', 'key-expiring'] as const
    const hanging = new Notifier({
      ...notifier.parts,
      send: (_, __, notification) => new Promise(() => sent.push(notification)),
    })
    hanging.use([{ ...hook, events: all }])
    for (const event of all) hanging.add('warn', 'x', { event })
    await settle()
    assert.equal(sent.length, 4)
    assert.deepEqual(logged, ['notify ops failed: earlier ones have not ended'])
    hanging.stop()
  })

  it('run a command with the facts as words and in its environment; a shell gets them only there', () => {
    const who = { user: 'nobody', group: null }
    notifier.use([
      { ...base, ...who, name: 'a', run: { argv: ['/bin/tell', '{event}: {message}'] } },
      { ...base, ...who, name: 'b', run: { shell: 'tell "$PKCTL_MESSAGE" {message}' } },
    ])
    notifier.add('warn', 'by $(reboot) {event}', healed)
    const environment = { PKCTL_EVENT: 'healed', PKCTL_MESSAGE: 'by $(reboot) {event}', PKCTL_SUPPRESSED: '0' }
    const common = { ...who, environment, timeout: 30 }
    assert.deepEqual(runs, [
      { ...common, name: 'notify a', argv: ['/bin/tell', 'healed: by $(reboot) {event}'] },
      { ...common, name: 'notify b', argv: ['/bin/sh', '-c', 'tell "$PKCTL_MESSAGE" {message}'] },
    ])
  })
})

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import type { ServiceManager } from '../../../src/daemon/systemd-notify.js'
import { createServiceManager } from '../../../src/daemon/systemd-notify.js'

describe('the service manager', () => {
  let told: string[]
  let troubles: string[]
  let manager: ServiceManager
  let refuse = false

  function make(environment: NodeJS.ProcessEnv): void {
    manager = createServiceManager({
      environment,
      pid: 42,
      send: (address, text) => {
        if (refuse) throw new Error('sendto: Connection refused')
        told.push(`${address} ${text}`)
      },
      onTrouble: message => troubles.push(message),
    })
  }

  beforeEach(() => {
    told = []
    troubles = []
    refuse = false
    mock.timers.enable({ apis: ['setInterval'] })
  })
  afterEach(() => {
    manager.close()
    mock.timers.reset()
  })

  /** Lets what was promised come about. */
  const settle = () => new Promise(setImmediate)

  it('hears what happens', () => {
    make({ NOTIFY_SOCKET: '@n' })
    manager.ready('two\nlines')
    manager.reloading()
    manager.stopping()
    assert.deepEqual(
      told.map(text => text.replace(/\d{3,}$/, 'N')),
      ['@n READY=1\nSTATUS=two lines', '@n RELOADING=1\nMONOTONIC_USEC=N', '@n STOPPING=1'],
    )
  })

  it('hears of a fault beside the state, until it is over', () => {
    make({ NOTIFY_SOCKET: '@n' })
    manager.ready('queue 62')
    manager.note('the self-test failed: x\ny')
    manager.note('the self-test failed: x\ny')
    manager.ready('queue 63')
    manager.note('')
    assert.deepEqual(told, [
      '@n READY=1\nSTATUS=queue 62',
      '@n STATUS=the self-test failed: x y; queue 62',
      '@n READY=1\nSTATUS=the self-test failed: x y; queue 63',
      '@n STATUS=queue 63',
    ])
  })

  it('is not told of anything where there is none', async () => {
    make({ WATCHDOG_USEC: '1000000' })
    manager.ready('x')
    manager.watch(() => assert.fail('asked'))
    mock.timers.tick(10_000)
    await settle()
    assert.deepEqual(told, [])
  })

  it('hears of life twice in its time', async () => {
    make({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000000', WATCHDOG_PID: '42' })
    manager.watch(() => Promise.resolve())
    await settle()
    assert.equal(told.length, 1)
    for (let i = 0; i < 4; i++) {
      mock.timers.tick(500)
      await settle()
    }
    assert.deepEqual(told, Array(5).fill('/n WATCHDOG=1'))
  })

  it('hears nothing while an answer stays out, and again when it has come, however late', async () => {
    make({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000000' })
    let answer: () => void = () => assert.fail('not asked')
    let asked = 0
    manager.watch(() => {
      asked++
      return new Promise(done => (answer = done))
    })
    mock.timers.tick(5000)
    await settle()
    assert.deepEqual([asked, told], [1, []])
    assert.deepEqual(troubles, ['the watchdog is not notified, because the packet worker does not answer'])
    answer()
    await settle()
    assert.deepEqual(told, ['/n WATCHDOG=1'])
    mock.timers.tick(500)
    assert.equal(asked, 2)
  })

  for (const end of ['stopping', 'close'] as const) {
    it(`hears of life no more after ${end}, and nobody is asked`, async () => {
      make({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000000' })
      let asked = 0
      manager.watch(() => Promise.resolve(void asked++))
      manager[end]()
      mock.timers.tick(5000)
      await settle()
      assert.deepEqual([asked, told], [1, end === 'close' ? [] : ['/n STOPPING=1']])
    })
  }

  it('hears nothing while something does not work, which is logged once, and again when it works', async () => {
    make({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000000' })
    let problem: Error | undefined = new Error('nft does not answer')
    manager.watch(() => (problem ? Promise.reject(problem) : Promise.resolve()))
    const pass = async () => {
      for (let i = 0; i < 4; i++) {
        mock.timers.tick(500)
        await settle()
      }
    }
    await settle()
    await pass()
    assert.deepEqual([told, troubles], [[], ['the watchdog is not notified, because nft does not answer']])
    problem = undefined
    await pass()
    assert.deepEqual(told, Array(4).fill('/n WATCHDOG=1'))
    problem = new Error('nor does it now')
    await pass()
    assert.equal(told.length, 4)
    assert.equal(troubles.length, 2)
  })

  it('each reason is logged once, whatever numbers it names and whatever comes first', async () => {
    make({ NOTIFY_SOCKET: '/n', WATCHDOG_USEC: '1000000' })
    const reasons = ['no report for 60 s', 'no comparison for 60 s', 'no report for 61 s', 'no comparison for 61 s']
    let fail: (error: Error) => void = () => assert.fail('not asked')
    manager.watch(() => new Promise((_, reject) => (fail = reject)))
    mock.timers.tick(500)
    for (const reason of reasons) {
      fail(new Error(reason))
      await settle()
      mock.timers.tick(500)
    }
    const because = (reason: string) => `the watchdog is not notified, because ${reason}`
    assert.deepEqual(troubles, ['the packet worker does not answer', ...reasons.slice(0, 2)].map(because))
  })

  for (const watchdog of [
    {},
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: 'x' },
    { WATCHDOG_USEC: '9', WATCHDOG_PID: '7' },
  ]) {
    it(`does not watch with ${JSON.stringify(watchdog)}`, () => {
      make({ NOTIFY_SOCKET: '/n', ...watchdog })
      manager.watch(() => assert.fail('asked'))
      mock.timers.tick(10_000)
    })
  }

  it('that cannot be told is said once', () => {
    make({ NOTIFY_SOCKET: '/n' })
    refuse = true
    manager.ready('x')
    manager.stopping()
    assert.deepEqual(troubles, ['the service manager cannot be notified: sendto: Connection refused'])
  })
})

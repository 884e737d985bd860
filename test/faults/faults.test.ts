/**
 * What breaks around pkctl, injected on a real kernel: what was broken, what held, what was said, how it got well. Faults
 * that other files inject are in the table of docs/faults.md as well.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { must, until } from '../support/commands.js'
import { fakeTimeLibrary } from '../support/faketime.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const services = 'services:\n  ssh: { port: 22, window: 30 }'
const laptop = 'laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }'
const plain = `${services}\ncredentials:\n  ${laptop}`

describe('a fault of the machine', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const send = (hex: string) => ({ send: { host: server4, port: knockPort, from: client4, hex } })
  const connect = (from: string) => ({ connect: { host: server4, port: 22, from } })
  /** Who gets in behind a knock: the client, and a stranger. */
  async function knock(hex = knockHex()): Promise<(string | undefined)[]> {
    const [, client, stranger] = await lab.peer(send(hex), connect(client4), connect(stranger4))
    return [client?.result, stranger?.result]
  }
  const revoke = () => lab.mustPkctl('delete', client4, '--service', 'ssh')

  it(
    'the clock jumps ahead and back: no knock counts twice, and grants run on',
    { skip: fakeTimeLibrary === '' && 'there is no faketime' },
    async () => {
      const clock = lab.file('clock', '+0')
      const daemon = lab.startDaemon(lab.config(plain), {
        env: {
          LD_PRELOAD: fakeTimeLibrary,
          FAKETIME_TIMESTAMP_FILE: clock,
          FAKETIME_NO_CACHE: '1',
          DONT_FAKE_MONOTONIC: '1',
        },
      })
      await daemon.says(/listening on queue/)
      const first = knockHex()
      assert.deepEqual(await knock(first), ['open', 'timeout'])
      fs.writeFileSync(clock, '+3600')
      assert.deepEqual(await knock(), ['open', 'timeout'], 'the grant runs by the clock of the kernel')
      await daemon.says(/the clock was set ahead by 3[56]\d\d s/)
      await daemon.says(/skew/)
      await revoke()
      fs.writeFileSync(clock, '+0')
      assert.deepEqual(await knock(first), ['timeout', 'timeout'], 'a copy from before the jump')
      await daemon.says(/the clock was set back by 3[56]\d\d s/)
      assert.deepEqual(await knock(), ['open', 'timeout'])
    },
  )

  it('descriptors run out: nothing opens by it, and all is well when there are some again', async t => {
    const daemon = await lab.daemon(lab.config(plain))
    const { pid } = daemon.child
    await must(['prlimit', `--pid=${pid}`, '--nofile=3:4096'])
    const [client, stranger] = await knock()
    t.diagnostic(`a knock without descriptors: ${client}; ${daemon.output.trim().split('\n').slice(-2).join(' | ')}`)
    assert.equal(stranger, 'timeout')
    assert.notEqual((await lab.pkctl('status')).status, 0)
    await daemon.says(/EMFILE/)
    await must(['prlimit', `--pid=${pid}`, '--nofile=1024:4096'])
    await until(async () => (await lab.pkctl('status')).status === 0)
    await lab.pkctl('delete', client4, '--service', 'ssh')
    assert.deepEqual(await knock(), ['open', 'timeout'])
  })

  it('memory runs out: the port stays closed, whether the daemon lives or dies', async t => {
    const daemon = await lab.daemon(lab.config(plain))
    const { pid } = daemon.child
    // Below what it has: neither it nor a program that it starts gets any more.
    await must(['prlimit', `--pid=${pid}`, `--as=${1024 * 1024}`])
    await until(async () => {
      await lab.pkctl('status')
      return /ENOMEM|out of memory|SIGKILL|SIGSEGV|cannot allocate/i.test(daemon.output)
    })
    t.diagnostic(`without memory: ${/.*(ENOMEM|memory|SIG|allocate).*/i.exec(daemon.output)?.[0].slice(0, 200)}`)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    await daemon.stop('SIGKILL')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    await lab.daemon(lab.config(plain))
    assert.deepEqual(await knock(), ['open', 'timeout'])
  })

  it('a command stops itself: it is ended when its time is over, and knocks go on', async () => {
    const stopped = `${laptop.slice(0, -2)}, on-open: { shell: 'kill -STOP $$', timeout: 1 } }`
    const daemon = await lab.daemon(lab.config(`${services}\ncredentials:\n  ${stopped}`))
    assert.deepEqual(await knock(), ['open', 'timeout'])
    await daemon.says(/on-open of laptop.*(time|ended|longer)/)
    await revoke()
    assert.deepEqual(await knock(), ['open', 'timeout'])
  })
})

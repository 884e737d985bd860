/** Marks of other programs beside pkctl, on the real kernel: they stay as they are, and open nothing. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { sleep, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const config = `marks: { mask: 0xffff0000 }
services: { ssh: { port: 22, window: 30 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }
  steps: { type: sequence, sequence: [7000, 7001], opens: [ssh] }`

describe('marks of another firewall under the mask of pkctl', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 8080)
  })
  afterEach(() => lab.remove())

  /** A firewall that marks what it lets in early, and later accepts by that mark alone. */
  const otherFirewall = (bits: number) =>
    lab.on([
      'nft',
      `table inet other
       delete table inet other
       table inet other {
         chain early {
           type filter hook prerouting priority -300
           meta l4proto { tcp, udp } meta mark set ${bits}
         }
         chain input {
           type filter hook input priority 0; policy drop
           meta mark & 0xffff0000 == ${bits} accept
           ct state established accept
         }
       }`,
    ])

  it('stay as they are on all packets but knocks, whatever pkctl uses them for', async () => {
    await lab.daemon(lab.config(config))
    for (const bits of [0x1, 0x2, 0x3, 0x4, 0x5, 0xd, 0x100, 0xffff]) {
      const mark = bits * 0x10000
      assert.equal((await otherFirewall(mark)).status, 0)
      assert.equal(await lab.opens(server4, stranger4, 8080), 'open', `another port, with 0x${mark.toString(16)}`)
      assert.equal(await lab.opens(server4, stranger4), 'timeout', `a port of pkctl, with 0x${mark.toString(16)}`)
    }
  })

  it('do not keep a knock from opening', async () => {
    const daemon = await lab.daemon(lab.config(config))
    for (const bits of [0x10000, 0x40000]) {
      assert.equal((await otherFirewall(bits)).status, 0)
      await lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
      await until(async () =>
        (await lab.on(['nft', 'list', 'set', 'inet', 'pkctl', 'pk-ssh-4'])).stdout.includes(client4),
      )
      assert.equal(await lab.opens(server4, client4), 'open')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
    }
    await daemon.says(/opens ssh[^]*opens ssh/)
  })

  it('rewritten at the priority of mangle open nothing, and with the queue of nft a knock opens all the same', async () => {
    const daemon = await lab.daemon(lab.config(config))
    for (const hook of ['prerouting', 'input']) {
      const chain = `chain mangle { type filter hook ${hook} priority -150; meta mark set 0x10000; }`
      assert.equal((await lab.on(['nft', `table inet other { ${chain}; }`])).status, 0)
      await lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
      assert.equal(await lab.opens(server4, stranger4), 'timeout', hook)
      // Without it, the rule of iptables that queues has the same priority, and may not see the marks of pkctl.
      if (daemon.output.includes('"native":true')) {
        await daemon.says(/opens ssh for 30 s/)
        assert.equal(await lab.opens(server4, client4), 'open', hook)
        await lab.mustPkctl('delete', client4, '--service', 'ssh')
      }
      await lab.on(['nft', 'delete table inet other'])
    }
  })

  it('are named at the start', async () => {
    assert.equal((await otherFirewall(0x40000)).status, 0)
    const daemon = await lab.daemon(lab.config(config))
    await daemon.says(
      /may set bits of the packet mark that belong to pkctl \(0xffff0000\): chain early of table inet other;/,
    )
  })

  it('are left free by the default', async () => {
    assert.equal((await otherFirewall(0x40000)).status, 0)
    const daemon = await lab.daemon(lab.config(config.replace(/^.*\n/, '')))
    await lab.mustPkctl('status')
    await daemon.stop()
    assert.doesNotMatch(daemon.output, /packet mark/)
  })
})

describe('an accepted knock without a grant', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
  })
  afterEach(() => lab.remove())

  const send = () => lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
  const nft = async (text: string) => {
    const { status, stderr } = await lab.on(['nft', text])
    assert.deepEqual([status, stderr], [0, ''])
  }

  it('because its set is full, is not logged as opening, and counted', async () => {
    await nft(
      `table inet pkctl { set pk-ssh-4 { type ipv4_addr; flags timeout; size 1; elements = { 192.0.2.1 timeout 1h }; }; }`,
    )
    await lab.adoptTable()
    const ran = path.join(lab.directory, 'ran')
    const daemon = await lab.daemon(
      lab.config(config.replace('opens: [ssh]', `$&, on-open: { shell: 'echo >>${ran}' }`)),
    )
    await send()
    await daemon.says(/is valid, but the kernel has not opened ssh: its set is full/)
    await daemon.says(/on-open of laptop is not run for 10.77.0.2, because the kernel has not opened ssh/)
    assert.equal(fs.existsSync(ran), false)
    assert.doesNotMatch(daemon.output, /opens ssh/)
    assert.match(await lab.mustPkctl('status'), /1 accepted, 1 of them not granted by the kernel/)
    await nft('delete element inet pkctl pk-ssh-4 { 192.0.2.1 }')
    // Where the kernel is slow to answer, pkctld does not ask it for each knock.
    await until(async () => {
      await send()
      await sleep(500)
      return daemon.output.includes('opens ssh for 30 s')
    })
    await until(() => fs.existsSync(ran))
  })

  it('because a chain of another program rewrites its mark, is not logged as opening', async () => {
    const daemon = await lab.daemon(lab.config(config))
    await nft('table inet other { chain between { type filter hook input priority -148; meta mark set 0; }; }')
    await send()
    await daemon.says(/is valid, but the kernel has not opened ssh: /)
    assert.doesNotMatch(daemon.output, /opens ssh/)
  })

  it('because a chain of another program rewrites its mark, is not taken for one that runs from before', async () => {
    const daemon = await lab.daemon(lab.config(config.replace('window: 30', 'window: 300')))
    await nft(
      `add element inet pkctl pk-ssh-4 { ${client4} timeout 100s }
       table inet other { chain between { type filter hook input priority -148; meta mark set 0; }; }`,
    )
    await send()
    await daemon.says(/is valid, but the kernel has not extended the grant for ssh, which runs for \d\d s: /)
    assert.doesNotMatch(daemon.output, /opens ssh/)
    assert.match(await lab.mustPkctl('status'), /1 accepted, 1 of them not granted by the kernel/)
  })
})

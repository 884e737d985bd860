/** `pkctl close`: the ports of the configuration, closed without the daemon; what was closed before, when it is broken. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pkctl, sleep, until } from '../support/commands.js'
import { client4, Lab, server4 } from '../support/lab.js'

describe('pkctl close', () => {
  let lab: Lab
  const kept = () => path.join(lab.directory, 'state/services.json')
  const ports = async (...wanted: number[]) =>
    Promise.all(wanted.map(async port => `${port} ${await lab.opens(server4, client4, port)}`))

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 80)
  })
  afterEach(() => lab.remove())

  const close = (config: string, ...flags: string[]) => lab.pkctl('close', '--config', config, ...flags)

  it('closes what the configuration names, and changes nothing when it is closed already', async () => {
    const opened = 'credentials: { c: { type: pkd, key: test, opens: [ssh] } }'
    const config = lab.config(`services: { ssh: { port: 22 }, vpn: { port: 51820, protocol: udp } }\n${opened}`)
    const first = await close(config)
    assert.deepEqual([first.status, first.stdout], [0, 'closed: ssh (22/tcp), vpn (51820/udp)\n'])
    // Of the port that no knock opens it warns.
    assert.match(first.stderr, /^pkctl: warning: \S+ services\.vpn: no credential opens it, .*\n$/)
    assert.deepEqual(await ports(22, 80), ['22 timeout', '80 open'])
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '1h')
    const before = (await lab.on(['nft', 'list', 'ruleset'])).stdout.replace(/expires \S+|packets \d+ bytes \d+/g, '')
    const { status, stdout } = await close(config)
    assert.deepEqual([status, stdout], [0, 'nothing to do: closed: ssh (22/tcp), vpn (51820/udp)\n'])
    const after = (await lab.on(['nft', 'list', 'ruleset'])).stdout.replace(/expires \S+|packets \d+ bytes \d+/g, '')
    assert.equal(after, before)
    assert.doesNotMatch(after, /knock-|queue/)
    assert.equal(await lab.opens(server4, client4), 'open', 'the grant goes on')
  })

  it('says first, as check, apply and the start do, where no knock opens what it closes', async () => {
    const vpn = 'vpn: { type: pkd, key: test, opens: [ssh], interface: wg7 }'
    const config = lab.config(`services: { ssh: { port: 22 } }\ncredentials: { ${vpn} }`)
    const said =
      /services\.ssh: no credential that opens it can be used now: vpn \(there is no interface wg7 now\); only/
    assert.match((await lab.pkctl('check', '--config', config)).stderr, said)
    assert.match((await lab.pkctl('apply', config, '--dry-run')).stderr, said)
    assert.match((await close(config)).stderr, said)
    await lab.startDaemon(config).says(said)
  })

  it('closes ports at once beside a daemon that does not answer', async () => {
    const config = lab.config('services: { ssh: { port: 22 } }')
    const daemon = await lab.daemon(config)
    // Nothing is at work any more, which would have the lock.
    await sleep(1000)
    const pid = daemon.child.pid as number
    process.kill(pid, 'SIGSTOP')
    let closing: Promise<unknown> | undefined
    try {
      await lab.on(['nft', 'flush', 'ruleset'])
      await until(async () => (await lab.opens(server4, client4)) === 'open', 5000)
      closing = close(config)
      await until(async () => (await lab.opens(server4, client4)) === 'timeout', 15_000)
    } finally {
      process.kill(pid, 'SIGCONT')
      await closing
    }
  })

  it('asks the daemon at the socket that the configuration names, also when the rest of it is broken', async () => {
    const daemon = await lab.daemon(lab.config('services: { ssh: { port: 22 } }'))
    const closeWithout = (config: string) => lab.on([process.execPath, pkctl, 'close', '--config', config])
    const config = lab.config('services: { ssh: { port: 22 }, web: { port: 80 } }')
    assert.equal((await closeWithout(config)).status, 0)
    await daemon.says(/closed: ssh \(22\/tcp\), web \(80\/tcp\)/)
    const broken = 'queue: { number: x }\nservices: { ssh: { port: 22 }, dns: { port: 53, protocol: udp } }'
    fs.rmSync(kept())
    assert.equal((await closeWithout(lab.config(broken))).status, 0)
    await daemon.says(/closed: ssh \(22\/tcp\), dns \(53\/udp\)/)
  })

  it('with --dry-run only says what it would do, with --json one object', async () => {
    const config = lab.config('services: { ssh: { port: 22 } }')
    assert.match((await close(config, '--dry-run')).stdout, /^\{"nftables": \[/)
    assert.deepEqual(await ports(22), ['22 open'])
    assert.equal(fs.existsSync(kept()), false)
    const { changed, services } = JSON.parse((await close(config, '--json')).stdout) as Record<string, unknown>
    assert.deepEqual([changed, services], [true, ['ssh']])
    assert.deepEqual(await close(lab.config('services: {}')), {
      status: 0,
      stdout: 'nothing to do: there are no services\n',
      stderr: '',
    })
  })

  it('closes what the daemon kept of the last good configuration, when it is broken since', async () => {
    const good = 'services: { ssh: { port: 22 } }'
    const daemon = await lab.daemon(lab.config(good))
    lab.config('services: { ssh: { port: 22 }, web: { port: 80 } }')
    assert.equal((await lab.pkctl('reload')).status, 0)
    assert.equal(await daemon.stop(), 0)
    await lab.on(['nft', 'flush', 'ruleset'])
    assert.deepEqual(await ports(22, 80), ['22 open', '80 open'])

    const config = lab.config('services: { ssh: { port: 22 }, web: { port: 80 }, dns: { port: fifty } }')
    const { status, stdout, stderr } = await close(config)
    assert.deepEqual([status, stdout], [0, 'closed: ssh (22/tcp), web (80/tcp)\n'])
    assert.match(stderr, /warning: .*dns\.port: expected a port/)
    assert.match(stderr, /warning: the configuration cannot be used; the services of the last good configuration are/)
    assert.deepEqual(await ports(22, 80), ['22 timeout', '80 timeout'])
    assert.match(fs.readFileSync(kept(), 'utf8'), /"web"/, 'the copy stays')
  })

  it('finds that copy where the configuration has it, also when it was changed without a restart', async () => {
    const write = (services: string) => {
      const config = lab.config(`services: { ${services} }`)
      fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('/state', '/state2'))
      return config
    }
    const daemon = await lab.daemon(lab.config('services: { ssh: { port: 22 } }'))
    write('ssh: { port: 22 }, web: { port: 80 }')
    assert.equal((await lab.pkctl('reload')).status, 0)
    assert.match(fs.readFileSync(kept(), 'utf8'), /"web"/)
    assert.equal(await daemon.stop(), 0)
    await lab.on(['nft', 'flush', 'ruleset'])
    const { stdout } = await close(write('ssh: { port: 22 }, web: { port: eighty }'))
    assert.equal(stdout, 'closed: ssh (22/tcp), web (80/tcp)\n')
    assert.deepEqual(await ports(22, 80), ['22 timeout', '80 timeout'])
  })

  it('finds it also when an option beside the services is broken', async () => {
    const state = lab.file('state2/services.json', '')
    const daemon = await lab.daemon(lab.config('services: { ssh: { port: 22 }, web: { port: 80 } }'))
    assert.equal(await daemon.stop(), 0)
    fs.copyFileSync(kept(), state)
    fs.rmSync(kept())
    const config = lab.config('queue: { number: x }\nservices: { ssh: { port: 22 } }')
    fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('/state', '/state2'))
    const { stdout } = await close(config)
    assert.match(stdout, /closed: ssh \(22\/tcp\), web \(80\/tcp\)/)
  })

  for (const [name, damaged] of [
    ['is no copy', undefined],
    ['is a damaged copy', '{"services": ['],
    ['is a copy of something else', '[]'],
    ['is a copy of no services', '{"services": []}'],
  ] as const) {
    it(`closes what it can read of a broken configuration, where there ${name}`, async () => {
      if (damaged !== undefined) lab.file('state/services.json', damaged)
      const config = lab.config('services: { ssh: { port: 22 } }\ncredentials: { x: { type: pkd } }')
      const { status, stdout, stderr } = await close(config)
      assert.deepEqual([status, stdout], [0, 'closed: ssh (22/tcp)\n'])
      assert.match(
        stderr,
        /warning: the configuration cannot be used; the services that can be read are closed instead/,
      )
      assert.deepEqual(await ports(22), ['22 timeout'])
    })
  }

  it('fails when nothing could be closed', async () => {
    const { status, stdout, stderr } = await close(lab.file('pkctl.yaml', 'state-directory: /nowhere/x\nservices: ['))
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /^pkctl: error: /)
  })

  it('closes the others, when one cannot be', async () => {
    await lab.mustPkctl('init', 'old', '--port', '80-90', '--syn')
    const { status, stdout, stderr } = await close(lab.config('services: { ssh: { port: 22 }, web: { port: 80 } }'))
    assert.deepEqual([status, stdout], [0, 'closed: ssh (22/tcp)\n'])
    assert.match(stderr, /warning: service web is NOT closed: .* protected by service old already/)
    assert.deepEqual(await ports(22), ['22 timeout'])
  })
})

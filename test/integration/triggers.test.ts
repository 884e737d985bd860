/** Commands that follow a knock, run for real. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { sleep, slowness, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6 } from '../support/lab.js'

describe('triggers', () => {
  let lab: Lab
  /** Where the commands of a test write. */
  let out: string

  beforeEach(async () => {
    lab = await Lab.create()
    out = path.join(lab.directory, 'out')
    fs.mkdirSync(out, { mode: 0o777 })
    fs.chmodSync(out, 0o777)
    fs.chmodSync(lab.directory, 0o755)
  })
  afterEach(() => lab.remove())

  let daemon: Background | undefined
  const start = async (body: string, extra = '') => {
    const services = 'services: { ssh: { port: 22, window: 30 }, range: { port: [80, 6000-6010], window: 40 } }\n'
    daemon = await lab.daemon(lab.config(`${services}credentials:\n${body}`, extra))
    return daemon
  }
  const knock = (tag = 'SSHK', from = client4, host = server4) =>
    lab.peer({ send: { host, port: knockPort, from, hex: knockHex({ tag }) } })
  const written = (name: string) => {
    const file = path.join(out, name)
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined
  }
  const writes = async (name: string) => {
    await until(() => (written(name) ?? '').endsWith('\n')).catch((error: unknown) => {
      throw new Error(`${name} was not written; the daemon said:\n${daemon?.output}`, { cause: error })
    })
    return written(name) as string
  }

  it('a command gets its arguments one by one, whatever stands in them', async () => {
    const hostile = `'a b', '$(touch ${out}/owned)', '; touch ${out}/owned', '{ip}&{service}', "\`id\`", '%IP%', '{port}', '"*'`
    const script = lab.file('show', `#!/bin/sh\nprintf '<%s>' "$@" >${out}/shown\necho >>${out}/shown\n`, 0o755)
    await start(
      `  c: { type: pkd, tag: SSHK, key: test, opens: [ssh, range], on-open: { command: [${script}, ${hostile}] } }`,
    )
    await knock()
    assert.equal(
      await writes('shown'),
      `<a b><$(touch ${out}/owned)><; touch ${out}/owned><${client4}&ssh,range><\`id\`><${client4}><22,80,6000-6010><"*>\n`,
    )
    assert.equal(written('owned'), undefined)
  })

  it('a shell only if asked; over IPv6 the command for it', async () => {
    await start(
      `  c: { type: pkd, tag: SSHK, key: test, opens: [ssh], on-open: { shell: 'echo {ip} $PKCTL_FAMILY | tee ${out}/four', command6: [/usr/bin/touch, '${out}/six'] } }`,
    )
    await knock()
    assert.equal(await writes('four'), `${client4} 4\n`)
    fs.rmSync(path.join(out, 'four'))
    await knock('SSHK', client6, server6)
    await until(() => written('six') !== undefined)
    assert.equal(written('four'), undefined)
  })

  it('one that opens nothing; what it says and how it ends is in the log', async () => {
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'echo "restarting {credential}"; (sleep 0.1; printf "a\\033[31mb" >&2) & exit 3' } }`,
    )
    await knock()
    const said = await daemon.says(/on-open of c: ended with exit status 3/)
    assert.match(said, /knock by c from 10\.77\.0\.2 is valid, and opens nothing/)
    assert.match(said, /on-open of c: restarting c"/)
    assert.match(said, /on-open of c: a\\\\u001b\[31mb".*ended with/s)
  })

  it('what it says without ever ending the line is cut, and harms nobody', async () => {
    // More than a string can hold; where all is slow, what can be said within the time that a command has.
    const bytes = 600_000_000 / slowness
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'head -c ${bytes} /dev/zero | tr "\\0" x; exit 5' } }`,
    )
    await knock()
    const said = await daemon.says(/on-open of c: ended with exit status 5/)
    await daemon.says(/on-open of c: x{1000}"/)
    assert.ok(said.length < 10_000)
    await lab.mustPkctl('status')
  })

  it('as another user and group, with nothing of the daemon in its environment', async () => {
    const line = `(id -u; id -g; grep Groups: /proc/self/status; env | cut -d= -f1 | sort | tr "\\n" " "; pwd; cat) > ${out}/new; mv ${out}/new ${out}/who`
    await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: '${line}', user: nobody, group: daemon } }\n` +
        `  d: { type: pkd, tag: NOUS, key: test, on-open: { shell: 'id > ${out}/never', user: no-such-user } }`,
    )
    await knock()
    const [uid, gid, groups, environment] = (await writes('who')).split('\n')
    assert.deepEqual([uid, gid, groups], ['65534', '1', 'Groups:\t '])
    assert.equal(
      environment,
      'LANG PATH PKCTL_CREDENTIAL PKCTL_EVENT PKCTL_EXPIRES PKCTL_FAMILY PKCTL_IP PKCTL_PORT PKCTL_SERVICE PWD /',
    )
    await knock('NOUS')
  })

  it('without the queue, by which they could answer knocks and keep the next daemon from it', async () => {
    await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'ls -l /proc/$$/fd > ${out}/new; mv ${out}/new ${out}/files' } }`,
    )
    // Columns of the kernel's list: 2 is the protocol, of which 12 is netfilter, and the last one the inode.
    const rows = (await lab.on(['cat', '/proc/net/netlink'])).stdout.trimEnd().split('\n')
    const sockets = rows.map(row => row.trim().split(/\s+/)).filter(row => row[1] === '12')
    assert.ok(sockets.length > 0)
    await knock()
    const files = await writes('files')
    for (const row of sockets) assert.ok(!files.includes(`socket:[${row.at(-1)}]`), files)
  })

  it('a user that is not there: nothing is run, and the log says so', async () => {
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'id > ${out}/never', user: no-such-user } }\n` +
        `  d: { type: pkd, tag: GONE, key: test, on-open: { command: [/no/such/program] } }`,
    )
    await knock()
    await daemon.says(/on-open of c: cannot be run: there is no user no-such-user/)
    await knock('GONE')
    await daemon.says(/on-open of d: cannot be run: spawn \/no\/such\/program ENOENT/)
    assert.equal(written('never'), undefined)
  })

  it('is ended with all that it started when its time is over', async () => {
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'sleep 77 & echo $! > ${out}/pid; sleep 78', timeout: 1 } }`,
    )
    await knock()
    await daemon.says(/on-open of c: took longer than 1 s and was ended/)
    const child = Number(await writes('pid'))
    await until(() => !fs.existsSync(`/proc/${child}`))
  })

  it('so many at once and no more, and knocks are answered meanwhile', async () => {
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, rate: none, opens: [ssh], on-open: { shell: 'echo x >> ${out}/runs; sleep 1' } }`,
      'log: { level: info, format: json }\nlimits: { triggers-at-once: 2, triggers-waiting: 1 }',
    )
    await lab.serve(22)
    const send = () => ({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
    const outcomes = await lab.peer(send(), send(), send(), send(), {
      connect: { host: server4, port: 22, from: client4 },
    })
    assert.equal(outcomes.at(-1)?.result, 'open')
    await daemon.says(/on-open of c is not run: no more than 1 command can wait/)
    await until(() => written('runs')?.startsWith('x\nx\n') === true)
    await until(() => written('runs') === 'x\nx\nx\n')
  })

  const timed = (window: number) =>
    `  c: { type: pkd, tag: SSHK, key: test, opens: [ssh], window: ${window}, on-open: { shell: 'echo in {expires} >> ${out}/log' }, on-expiry: { shell: 'echo out {ip} {expires} >> ${out}/log' } }`

  it('on-expiry when the window has passed', async () => {
    await start(timed(2))
    await knock()
    await until(() => (written('log') ?? '').includes('out'))
    const [, expires = '', end] = /^in (\d+)\nout 10\.77\.0\.2 (\d+)\n$/.exec(written('log') ?? '') ?? []
    assert.equal(end, expires)
    assert.ok(Date.now() / 1000 >= Number(expires), 'not before its time')
  })

  for (const how of ['SIGTERM', 'SIGKILL'] as const) {
    it(`what falls due while the daemon is away after ${how} runs when it is back, and once`, async () => {
      // Longer than a daemon takes to end, where all is slow.
      const window = slowness > 1 ? 15 : 3
      const daemon = await start(timed(window))
      await knock()
      await writes('log')
      await daemon.stop(how)
      await sleep((window + 1) * 1000)
      assert.doesNotMatch(written('log') ?? '', /out/)
      const again = await start(timed(window))
      await until(() => (written('log') ?? '').includes('out 10.77.0.2'))
      await again.stop()
      await start(timed(window))
      await sleep(500)
      assert.equal(written('log')?.match(/out/g)?.length, 1)
    })
  }

  it('a daemon that waits for its commands to end answers no more knocks', async () => {
    const daemon = await start(
      `  c: { type: pkd, tag: SSHK, key: test, on-open: { shell: 'echo slow > ${out}/slow; sleep 6' } }\n` +
        `  d: { type: pkd, tag: LATE, key: test, opens: [ssh], on-open: { shell: 'echo late > ${out}/late' } }`,
    )
    await knock()
    await writes('slow')
    daemon.child.kill('SIGTERM')
    await sleep(3000)
    await knock('LATE')
    await sleep(500)
    assert.equal(written('late'), undefined)
  })

  it('a closing sequence runs on-close', async () => {
    const { rotatingSteps, startOfHour } = await import('../../src/knock/rotating.js')
    const daemon = await start(
      `  hourly: { type: rotating, open-secret: a, close-secret: b, digest: md5, range: 10000-20000, grace: 60, opens: [ssh], on-open: { shell: 'echo open >> ${out}/log' }, on-close: { shell: 'echo close {ip} >> ${out}/log' } }`,
    )
    const ports = (secret: string) =>
      rotatingSteps({ secret, digest: 'md5', first: 10_000, last: 20_000 }, startOfHour(Date.now() / 1000, 'utc')).map(
        ({ port }) => String(port),
      )
    await lab.from(['knock', '-4', server4, ...ports('a')])
    await daemon.says(/opens ssh/)
    await lab.from(['knock', '-4', server4, ...ports('b')])
    await until(() => written('log') === `open\nclose ${client4}\n`)
  })
})

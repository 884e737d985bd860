/** Where the daemon's words go: a file, syslog, or the console; and that strangers cannot make it talk much. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pkctl, program, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'

const body =
  'services: { ssh: { port: 22 } }\ncredentials:\n  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh], rate: none }'

describe('the log', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
  })
  afterEach(() => lab.remove())

  const send = (hex: string) => ({ send: { host: server4, port: knockPort, from: client4, hex } })
  const configWith = (log: string) => lab.config(body, `log: ${log}`)

  /** What came to the syslog of `withSyslog`. */
  const received = () => {
    const file = path.join(lab.directory, 'syslog')
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
  }
  /** Runs the commands with a /dev of their own, where socat stands in for the system's syslog. */
  const withSyslog = (commands: string) => {
    const dev = path.join(lab.directory, 'dev')
    const script = `
      set -e
      mkdir ${dev} && mount -t tmpfs tmpfs ${dev} && cd ${dev}
      mknod null c 1 3 && mknod zero c 1 5 && mknod random c 1 8 && mknod urandom c 1 9 && ln -s /proc/self/fd fd && ln -s fd/0 stdin
      mount --bind ${dev} /dev
      timeout 30 socat -u UNIX-RECV:/dev/log,mode=666 OPEN:${lab.directory}/syslog,creat,append </dev/null >/dev/null 2>&1 &
      until [ -S /dev/log ]; do sleep 0.1; done
      ${commands}`
    return ['unshare', '-m', '/bin/sh', '-c', script]
  }

  it('is one JSON object a line in a file, which SIGHUP opens anew after logrotate has moved it', async () => {
    const file = path.join(lab.directory, 'pkctl.log')
    const read = () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '')
    const daemon = lab.start('server', [
      process.execPath,
      pkctl,
      'daemon',
      '--config',
      configWith(`{ level: debug, to: ${file} }`),
    ])
    await until(() => read().includes('listening'))
    await lab.peer(send(knockHex()), send(knockHex({ key: 'wrong' })), send(knockHex({ ahead: 14_400 })))
    await until(() => ['skewed', 'knock-accepted'].every(word => read().includes(word)))
    const lines = read()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    const accepted = lines.find(line => line['event'] === 'knock-accepted')
    assert.deepEqual(
      { ...accepted, time: 0, message: 0, skew: 0 },
      {
        time: 0,
        message: 0,
        level: 'info',
        event: 'knock-accepted',
        source: client4,
        port: knockPort,
        credential: 'laptop',
        skew: 0,
        services: ['ssh'],
      },
    )
    const refused = lines.filter(line => line['event'] === 'knock-refused')
    assert.deepEqual(
      refused.map(({ level, reason }) => [level, reason]),
      [
        ['debug', 'bad-hash'],
        ['info', 'skewed'],
      ],
    )
    assert.match(String(refused[1]?.['message']), /skewed: the clocks differ by (14400|143\d\d) s/)
    fs.renameSync(file, `${file}.1`)
    daemon.child.kill('SIGHUP')
    await until(() => read().includes('reloaded'))
  })

  it('goes to syslog with its severity', async () => {
    const config = configWith('{ to: syslog }')
    const daemon = lab.start('server', withSyslog(`exec ${process.execPath} ${pkctl} daemon --config ${config}`))
    await until(() => received().includes('listening')).catch(() => assert.fail(daemon.output))
    assert.match(received(), /<30>.*pkctld\[\d+\]: listening on queue 62/)
  })

  it('says in syslog who changed what by command, where no daemon runs', async () => {
    const [pk, tables] = [pkctl, program('pktables')].map(file => `${process.execPath} ${file}`)
    const lines = [
      `${pk} init ssh --port 22 --syn --socket ${lab.socket}`,
      `${pk} add 192.0.2.7 --service ssh --socket ${lab.socket}`,
      `${pk} add 192.0.2.7 --service ssh --socket ${lab.socket}`,
      `${pk} add 192.0.2.8 --service ssh --dry-run --socket ${lab.socket}`,
      `${tables} init web --port 80 --syn`,
      `${tables} init web --port 80 --syn`,
      `SUDO_USER=ada ${tables} add 192.0.2.9/24 --service web`,
      `${tables} delete 192.0.2.9 --service web`,
      `${tables} delete 192.0.2.9 --service web`,
      `${tables} remove web`,
      `${pk} remove ssh --socket ${lab.socket}`,
    ]
    const { status, stderr } = await lab.on(withSyslog(`${lines.join(' && ')} && sleep 0.2`))
    assert.equal(status, 0, stderr)
    const said = received().split(/(?=<\d+>)/)
    assert.deepEqual(
      said.map(line => line.replace(/^<30>.*? pkctl: /, '').trim()),
      [
        'service ssh protects 22/tcp, by command of root',
        '192.0.2.7 may use ssh, by command of root',
        'service web protects 80/tcp, by command of root',
        '192.0.2.9 may use web, by command of root (sudo by ada)',
        '192.0.2.9 may no longer use web, by command of root',
        'service web removed: 80/tcp is open to everyone now, unless other rules close it, by command of root',
        'service ssh removed: 22/tcp is open to everyone now, unless other rules close it, by command of root',
      ],
    )
  })

  it('has in its own log what pktables did', async () => {
    const daemon = await lab.daemon(configWith('{ level: info }'))
    // pktables knows the default socket alone.
    const at = 'mkdir -p /run/pkctl && mount -t tmpfs tmpfs /run/pkctl'
    const command = `${process.execPath} ${program('pktables')} add 192.0.2.9 --service ssh`
    const script = `${at} && ln -s ${lab.socket} /run/pkctl/pkctl.sock && ${command}`
    const { status, stderr } = await lab.on(['unshare', '-m', '/bin/sh', '-c', script])
    assert.equal(status, 0, stderr)
    await daemon.says(/192\.0\.2\.9 may use ssh, by command of root/)
  })

  it('pkctl log shows knocks, refusals and commands, whatever the level of the log, and follows', async () => {
    const file = configWith('{ level: error }')
    const daemon = lab.startDaemon(file)
    const show = (...words: string[]) => lab.mustPkctl('log', '--config', file, ...words)
    const follower = lab.start('server', [process.execPath, pkctl, 'log', '--follow', '--config', file])
    await follower.says(/listening on queue/)
    await lab.peer(send(knockHex({ key: 'wrong' })), send(knockHex()))
    await follower.says(/knock.* from 10\.77\.0\.2 refused: bad hash/)
    await follower.says(/knock by laptop from 10\.77\.0\.2 opens ssh/)
    await lab.mustPkctl('add', '192.0.2.9', '--service', 'ssh', '--socket', lab.socket)
    await follower.says(/192\.0\.2\.9 may use ssh, .*root/)
    assert.match(await show('--refused'), /^[-\d]+ [:\d]+ {2}knock.* from 10\.77\.0\.2 refused: bad hash[^\n]*\n$/)
    assert.doesNotMatch(daemon.output, /knock/)
    await daemon.stop()
    assert.match(await show('-n', '1'), /stopped; protected ports stay closed/)
  })

  it('a daemon that cannot start ends, though it would have talked to syslog', async () => {
    fs.writeFileSync(path.join(lab.directory, 'state'), 'a file in the place of the directory')
    const { status, stderr } = await lab.pkctl('daemon', '--config', configWith('{ to: syslog }'))
    assert.equal(status, 1, stderr)
    assert.match(stderr, /error: the state directory .* cannot be used/)
  })

  it('says little, at debug, of what strangers send, and counts the rest', async () => {
    const daemon = await lab.daemon(configWith('{ level: debug, format: json }'))
    const wrong = Array.from({ length: 90 }, () => send(knockHex({ key: 'wrong' })))
    await lab.peer(...wrong)
    await until(async () => (await lab.mustPkctl('status')).includes('90 bad-hash'))
    await lab.peer({ wait: 1100 }, send(knockHex({ key: 'wrong' })))
    await daemon.says(/more invalid knocks?, too many to name/)
    const lines = daemon.output.split('\n').filter(line => line.includes('bad-hash'))
    // 50 a second, in as many seconds as they took.
    const [first = 0, ...others] = lines.map(line => Date.parse((JSON.parse(line) as { time: string }).time))
    const seconds = Math.floor(((others.at(-2) ?? first) - first) / 1000) + 1
    assert.ok(lines.length > 0 && lines.length <= 50 * seconds + 5, `${lines.length} lines in ${seconds} s`)
  })

  it('warns of a configuration with a key that everyone can read', async () => {
    const config = configWith('{ level: info }')
    fs.chmodSync(config, 0o644)
    const daemon = await lab.daemon(config)
    assert.match(daemon.output, /"level":"warn".*everyone can read the key in this file; chmod 640/)
  })
})

/**
 * The daemon as the unit starts it: a user of its own, CAP_NET_ADMIN and no other power. It shares the lock, the state and
 * the keys with commands of root, and tells the service manager how it is.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { must, pkctl, run, until } from '../support/commands.js'
import { holdPacketThread } from '../support/hold-thread.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, lockFile, server4, stranger4 } from '../support/lab.js'

const uid = 64_242
const gid = 64_243
/** Of users with home directories. */
const firstUid = 61_001
const unprivileged = [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
  '--inh-caps=-all,+net_admin',
  '--ambient-caps=+net_admin',
  '--bounding-set=-all,+net_admin',
  '--no-new-privs',
]

describe('the daemon as a user of its own', () => {
  let lab: Lab
  let keeper: Background
  let config: string

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    // /run and /etc/passwd of its own, and directories as the package makes them.
    const script = [
      'mount -t tmpfs -o mode=755 tmpfs /run',
      'mount -t tmpfs -o mode=755 tmpfs /var/lib',
      `cp /etc/passwd ${lab.directory}/passwd`,
      `echo pkctl:x:${uid}:${gid}::/var/lib/pkctl:/usr/sbin/nologin >>${lab.directory}/passwd`,
      `mount --bind ${lab.directory}/passwd /etc/passwd`,
      `install -d -o ${uid} -g ${gid} -m 755 /run/pkctl`,
      `install -d -o ${uid} -g ${gid} -m 700 /var/lib/pkctl`,
      'echo ready; exec sleep infinity',
    ]
    fs.chmodSync(lab.directory, 0o755)
    keeper = lab.start('server', ['unshare', '--mount', '--propagation=private', 'sh', '-ec', script.join('\n')])
    await keeper.says(/ready/)
    config = lab.file(
      'pkctl/pkctl.yaml',
      [
        'log: { level: debug, format: json }',
        'services: { ssh: { port: 22 } }',
        'credentials: { laptop: { type: pkd, tag: SSHK, key-file: keys/laptop, skew: 120, opens: [ssh] } }',
      ].join('\n'),
    )
    lab.file('pkctl/keys/laptop', 'test\n', 0o640)
    for (const [name, mode] of [
      ['pkctl', 0o750],
      ['pkctl/keys', 0o2750],
      ['pkctl/pkctl.yaml', 0o640],
      ['pkctl/keys/laptop', 0o640],
    ] as const) {
      fs.chownSync(path.join(lab.directory, name), 0, gid)
      fs.chmodSync(path.join(lab.directory, name), mode)
    }
  })
  afterEach(() => lab.remove())

  const inside = (argv: readonly string[]) => ['nsenter', `--target=${keeper.child.pid}`, '--mount', '--net', ...argv]
  const asRoot = (...args: string[]): Promise<Result> => run(inside([process.execPath, pkctl, ...args]))
  const asDaemon = (...args: string[]): Promise<Result> =>
    run(inside([...unprivileged, process.execPath, pkctl, ...args]))

  async function start(environment: Record<string, string> = {}): Promise<Background> {
    const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
    const argv = ['env', ...settings, ...unprivileged, process.execPath, pkctl, 'daemon', '--config', config]
    const daemon = lab.start('server', inside(argv))
    await daemon.says(/listening on queue/)
    return daemon
  }

  async function knock(): Promise<string | undefined> {
    const [, connected] = await lab.peer(
      { send: { host: server4, port: knockPort, from: client4, hex: knockHex() } },
      { connect: { host: server4, port: 22, from: client4 } },
    )
    return connected?.result
  }

  it('opens on a knock, reloads, and goes, with commands of root in between', async () => {
    const daemon = await start()
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await knock(), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')

    const add = await asRoot('add', stranger4, '--service', 'ssh', '--for', '1h')
    assert.deepEqual([add.status, add.stderr], [0, ''])
    assert.equal(await lab.opens(server4, stranger4), 'open')
    const status = await asRoot('status')
    assert.match(status.stdout, /queue 62: .*, 0 waiting, 0 unanswered/, 'root sees how many wait')
    assert.match((await asDaemon('status')).stdout, /how many wait is for root/)
    assert.equal((await asRoot('reload')).status, 0)

    const lock = await must(inside(['sh', '-c', `stat -c '%u %g %a' ${lockFile}`]))
    assert.equal(lock.trim(), `${uid} ${gid} 660`)
    assert.equal(await daemon.stop(), 0)
    assert.equal(await lab.opens(server4, client4), 'open', 'a running grant stays')
    assert.doesNotMatch((await lab.on(['nft', 'list', 'ruleset'])).stdout, /queue|mangle \{|knock-/)
  })

  it('its own user may ask for all, and a stranger for nothing', async () => {
    const daemon = await start()
    const user = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--bounding-set=-all']
    const strangers = [
      ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'],
      ['setpriv', '--reuid=65534', `--regid=${gid}`, '--clear-groups'],
    ]
    const by = (who: readonly string[], ...args: string[]) => run(inside([...who, process.execPath, pkctl, ...args]))
    for (const [args, said] of [
      [['status'], /services: ssh/],
      [['list'], /ssh/],
      [['add', stranger4, '--service', 'ssh'], /may use ssh/],
      [['delete', stranger4, '--service', 'ssh'], /may no longer use ssh/],
      [['reload'], /./],
    ] as const) {
      const asked = await by(user, ...args)
      assert.deepEqual([asked.status, asked.stderr], [0, ''], args.join(' '))
      assert.match(asked.stdout, said)
    }
    const denied = /^pkctl: error: .*you may not use the socket/
    for (const who of strangers) {
      for (const args of [
        ['status'],
        ['list'],
        ['add', client4, '--service', 'ssh'],
        ['delete', client4, '--service', 'ssh'],
        ['reload'],
      ]) {
        const asked = await by(who, ...args)
        assert.deepEqual([asked.status, asked.stdout], [1, ''], args.join(' '))
        assert.match(asked.stderr, denied)
      }
    }
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await daemon.stop(), 0)
  })

  it('takes turns with root, also where root came first', async () => {
    assert.equal((await asRoot('init', 'ssh', '--port', '22', '--syn')).status, 0)
    const lock = await must(inside(['sh', '-c', `stat -c '%u %g %a' ${lockFile}`]))
    assert.equal(lock.trim(), `${uid} ${gid} 660`)
    await must(inside(['sh', '-c', `chown root:root ${lockFile}`]))
    const { status, stderr } = await asDaemon('remove', 'ssh')
    assert.equal(status, 1)
    assert.match(stderr, /^pkctl: error: no right to lock \/run\/pkctl\/ruleset-\d+\.lock, as root: chgrp 64243 /)
    await must(inside(['sh', '-c', `chown root:${gid} ${lockFile}`]))
    assert.equal((await asDaemon('remove', 'ssh')).status, 0)
  })

  it('root follows no link that the daemon may have put where the lock is, or the kept services', async () => {
    await must(inside(['sh', '-c', `ln -sf /run/elsewhere ${lockFile}`]))
    assert.equal((await asRoot('close', '--config', config)).status, 1)
    await must(inside(['sh', '-c', `rm ${lockFile}`]))
    await must(inside(['ln', '-s', '/run/elsewhere', '/var/lib/pkctl/services.json.new']))
    assert.equal((await asRoot('close', '--config', config)).status, 0)
    assert.equal((await run(inside(['test', '-e', '/run/elsewhere']))).status, 1)
    assert.match(await must(inside([...unprivileged, 'cat', '/var/lib/pkctl/services.json'])), /"ssh"/)
  })

  /** The daemon as root types it. */
  const byHand = () => lab.start('server', inside([process.execPath, pkctl, 'daemon', '--config', config]))
  const ofState = (...words: string[]) => must(inside(['find', '/var/lib/pkctl', '-mindepth', '1', ...words]))

  it('starts after root has run it by hand, with what was honoured then', async () => {
    const first = byHand()
    await first.says(/listening on queue/)
    const hex = knockHex()
    const [, opened] = await lab.peer(
      { send: { host: server4, port: knockPort, from: client4, hex } },
      { connect: { host: server4, port: 22, from: client4 } },
    )
    assert.equal(opened?.result, 'open')
    assert.equal(await first.stop(), 0)
    assert.equal(await ofState('!', '-user', String(uid)), '', 'nothing in the directory is of root')
    const daemon = await start()
    await lab.peer({ send: { host: server4, port: knockPort, from: stranger4, hex } })
    await daemon.says(/replayed/)
    assert.equal(await knock(), 'open')
    assert.equal(await daemon.stop(), 0)
  })

  it('is not disturbed when root types it beside the service', async () => {
    const daemon = await start()
    assert.equal(await knock(), 'open')
    // The service itself goes on with its history.
    const files = async () =>
      (await ofState('-printf', '%p %i %U %s\\n')).replace(/(\/history\S* \d+ \d+) \d+$/gm, '$1')
    // What the knock was granted is noted after it has opened, and the rest of a start after the queue is there.
    const last = [/\/signed-grants \d+ \d+ \d{3}$/m, /\/services\.json /, /\/history-unverified /]
    let before = ''
    await until(async () => {
      before = await files()
      return last.every(file => file.test(before))
    })
    assert.match(before, /replays/)
    const beside = byHand()
    await beside.says(/error: pkctld is running already/)
    const other = fs
      .readFileSync(config, 'utf8')
      .concat('\nsocket: { path: /run/pkctl/other.sock }\nqueue: { number: 63 }\n')
    fs.writeFileSync(config, other)
    const second = byHand()
    await second.says(/error: another pkctld uses the state directory \/var\/lib\/pkctl/)
    assert.equal(await files(), before)
    assert.equal(await daemon.stop(), 0)
  })

  it('root follows no link that its user has planted for the state or the log', async () => {
    fs.writeFileSync(
      config,
      fs.readFileSync(config, 'utf8').replace('level: debug, format: json', 'to: /var/lib/pkctl/log'),
    )
    for (const name of ['due.new', 'replays', 'log']) {
      const file = `/var/lib/pkctl/${name}`
      await must(inside([...unprivileged, 'ln', '-s', '/run/elsewhere', file]))
      const daemon = byHand()
      if (name === 'replays') await daemon.says(/error: .*(ELOOP|is not a regular file)/)
      else {
        // The log does not decide whether the daemon starts.
        if (name === 'log') await daemon.says(/the log \S+ cannot be opened: ELOOP/)
        await until(async () => (await asRoot('status')).status === 0)
        assert.equal(await daemon.stop(), 0)
      }
      assert.equal((await run(inside(['test', '-e', '/run/elsewhere']))).status, 1, name)
      await must(inside(['sh', '-c', 'rm -rf /var/lib/pkctl/*']))
    }
  })

  it('says so when another program takes its files away, and has them again', async () => {
    const daemon = await start()
    assert.equal(await knock(), 'open')
    await must(inside(['sh', '-c', 'rm /var/lib/pkctl/replays && cp /dev/null /var/lib/pkctl/replays']))
    assert.equal(await knock(), 'open')
    await daemon.says(/"error".*another program has removed or replaced the replay journal .*it is written again/)
    assert.equal(
      await must(inside(['stat', '-c', '%U %s', '/var/lib/pkctl/replays'])),
      'pkctl 96\n',
      'the last knock twice',
    )
    assert.equal(await daemon.stop(), 0)
  })

  it('has its notes of grants replaced by a link or the file of another user: it opens nothing by them', async () => {
    const [notes, elsewhere] = ['/var/lib/pkctl/signed-grants', '/var/lib/elsewhere']
    const stranger = JSON.stringify({
      ...{ credential: 'laptop', service: 'ssh', by: 'hand', address: stranger4 },
      ...{ user: null, key: null, authority: null, until: null },
    })
    const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const text = `${JSON.stringify({ boot })}\n${stranger}`
    const forged = lab.file('forged', text, 0o644)
    const refused = /error: the state directory \/var\/lib\/pkctl cannot be used: .*signed-grants/
    for (const [what, plant, begins] of [
      ['a link', `ln -s ${elsewhere} ${notes}.planted`, refused],
      ['another name', `ln ${elsewhere} ${notes}.planted`, refused],
      ['a file of another user', `install -o ${firstUid} -m 644 ${forged} ${notes}.planted`, /listening on queue/],
    ] as const) {
      await must(inside(['sh', '-ec', `rm -f ${notes}; install -m 644 ${forged} ${elsewhere}`]))
      const daemon = await start()
      assert.equal(await knock(), 'open', what)
      await must(inside(['sh', '-ec', `${plant}; mv -f ${notes}.planted ${notes}`]))
      assert.equal((await asRoot('delete', client4, '--service', 'ssh')).status, 0)
      assert.equal(await knock(), 'open', what)
      // A knock that changes little is not noted.
      await until(async () => {
        await knock()
        const { stdout } = await run(inside(['stat', '-c', '%u %h %F', notes]))
        return stdout === `${uid} 1 regular file\n`
      })
      assert.equal(await lab.opens(server4, stranger4), 'timeout', what)
      assert.equal(await daemon.stop(), 0)

      await must(inside(['sh', '-ec', `${plant}; mv -f ${notes}.planted ${notes}`]))
      const again = lab.start(
        'server',
        inside([...unprivileged, process.execPath, pkctl, 'daemon', '--config', config]),
      )
      await again.says(begins)
      assert.equal(await lab.opens(server4, stranger4), 'timeout', what)
      assert.equal(await must(inside(['cat', elsewhere])), text, what)
      await again.stop()
      await asRoot('delete', client4, '--service', 'ssh')
    }
  })

  it('says by one line what it has no right to', async () => {
    fs.chmodSync(path.join(lab.directory, 'pkctl/keys/laptop'), 0o600)
    const hidden = await asDaemon('daemon', '--config', config)
    assert.equal(hidden.status, 1)
    assert.match(
      hidden.stderr,
      /error: .*keys\/laptop cannot be read: permission denied\n.*hint: as root: chgrp 64243 /,
    )
    const checked = await asRoot('check', '--config', config)
    assert.equal(checked.status, 0)
    assert.match(checked.stderr, /warning: pkctld, which runs as user pkctl, cannot read \S+\/keys\/laptop; chgrp/)
    for (const command of [['apply'], ['close', '--config']]) {
      const { status, stderr } = await asRoot(...command, config, '--dry-run')
      assert.equal(status, 0, stderr)
      assert.match(stderr, /warning: pkctld, .* cannot read \S+\/keys\/laptop; chgrp/, command[0])
    }
    assert.match(
      (await asRoot('doctor', '--config', config, '--json')).stdout,
      /"path-unreadable","level":"error","message":"pkctld, .* cannot read \S+\/keys\/laptop"/,
    )
    fs.chmodSync(path.join(lab.directory, 'pkctl/keys/laptop'), 0o640)
    assert.equal((await asRoot('check', '--config', config)).stderr, '')
    assert.equal((await asRoot('close', '--config', config, '--dry-run')).stderr, '')

    fs.appendFileSync(config, '\nsocket: { group: daemon }\n')
    const group = await asDaemon('daemon', '--config', config)
    assert.equal(group.status, 1)
    assert.match(group.stderr, /not in the group daemon.*\n.*hint: .*SupplementaryGroups=daemon/)
  })

  it('cannot read files of users keys: check, apply, close, doctor and its start say so', async () => {
    const keys = lab.file('pkctl/keys/people', fs.readFileSync('test/vectors/openssh/ed25519.pub', 'utf8'))
    fs.chmodSync(keys, 0o600)
    fs.chownSync(keys, 0, 0)
    await must(inside([process.execPath, pkctl, 'keygen', '--server']))
    const settings = fs.readFileSync(config, 'utf8')
    const people = (option: string) =>
      settings.replace(/laptop: .* \} \}/, `people: { type: ssh, ${option}: keys/people, opens: [ssh] } }`)
    for (const option of ['authorized-keys', 'ca-keys', 'authorized-keys: keys/laptop, revoked-keys']) {
      fs.writeFileSync(config, people(option))
      for (const args of [
        ['check', '--config', config],
        ['apply', config, '--dry-run'],
        ['close', '--config', config, '--dry-run'],
      ]) {
        const { stderr } = await asRoot(...args)
        const said = /warning: pkctld, which runs as user pkctl, cannot read \S+\/keys\/people; chgrp/
        assert.match(stderr, said, `${args[0]}: ${option}`)
        assert.match(stderr, /services\.ssh: no credential that opens it can be used now: people/, args[0])
      }
      const { stdout } = await asRoot('doctor', '--config', config, '--json')
      assert.match(stdout, /"path-unreadable","level":"error","message":"pkctld, .* cannot read \S+\/keys\/people"/)
    }
    fs.writeFileSync(config, people('authorized-keys'))
    const daemon = await start()
    assert.match(daemon.output, /no credential that opens it can be used now: people[^]*listening on queue/)
    assert.match(daemon.output, /keys\/people cannot be read: permission denied/)
    assert.equal(await daemon.stop(), 0)
  })

  it('cannot read keys in a home directory: check, apply, close and doctor say so, and wait for no home', async () => {
    const home = path.join(lab.directory, 'home')
    const keys = lab.file('home/keys', fs.readFileSync('test/vectors/openssh/ed25519.pub', 'utf8'), 0o644)
    fs.chownSync(home, firstUid, firstUid)
    fs.chownSync(keys, firstUid, firstUid)
    fs.appendFileSync(
      path.join(lab.directory, 'passwd'),
      `una:x:${firstUid}:${firstUid}::${home}:/bin/sh\ndora:x:${firstUid + 1}:${firstUid + 1}::/run/silent:/bin/sh\n`,
    )
    await must(inside([process.execPath, pkctl, 'keygen', '--server']))
    const settings = fs.readFileSync(config, 'utf8')
    const people = (files: string) =>
      settings.replace(/laptop: .* \} \}/, `people: { type: ssh, authorized-keys: [${files}], opens: [ssh] } }`)
    const commands = [
      ['check', '--config', config],
      ['apply', config, '--dry-run'],
      ['close', '--config', config, '--dry-run'],
    ]
    fs.writeFileSync(config, people('~una/keys'))
    for (const [mode, isShut] of [
      [0o700, true],
      [0o711, false],
    ] as const) {
      fs.chmodSync(home, mode)
      for (const args of commands) {
        const { stderr } = await asRoot(...args)
        const said = /cannot read \S+\/home; install -g pkctl -m 640 \S+\/home\/keys \/etc\/pkctl\/keys\//
        assert.equal(said.test(stderr), isShut, `${args[0]}: ${stderr}`)
        const none = 'services.ssh: no credential that opens it can be used now: people'
        assert.equal(stderr.includes(none), isShut, `${args[0]}: ${stderr}`)
      }
      const { stdout } = await asRoot('doctor', '--config', config, '--json')
      assert.equal(/"path-unreadable","level":"error","message":"pkctld, .* \S+\/home"/.test(stdout), isShut, stdout)
    }

    if (!fs.existsSync('/dev/fuse')) return
    // What this file system is asked for waits until the descriptor is closed: no process answers.
    const mount = 'mount -i -t fuse -o fd=3,rootmode=40755,user_id=0,group_id=0 silent /run/silent'
    const silent = lab.start(
      'server',
      inside(['sh', '-ec', `mkdir /run/silent; exec 3<>/dev/fuse; ${mount}; echo ready; exec sleep infinity`]),
    )
    await silent.says(/ready/)
    fs.writeFileSync(config, people('~dora/keys'))
    for (const [command = '', ...args] of commands.slice(1)) {
      const { status, stderr } = await asRoot(command, ...args)
      assert.deepEqual([status, stderr], [0, ''], command)
    }
  })

  it('starts without the log file that it cannot open, and says so; check says it before', async () => {
    const settings = fs.readFileSync(config, 'utf8').replace('format: json', `format: json, to: ${lab.directory}/log`)
    fs.writeFileSync(config, settings)
    const { stderr } = await asRoot('check', '--config', config)
    assert.match(stderr, /^pkctl: warning: pkctld, .* cannot write \S+\/log \(log\.to\): it logs to the journal.*\n$/)
    const { output } = await start()
    assert.match(output, /"warn","message":"the log \S+ cannot be opened: EACCES.* go to the standard error instead"/)

    fs.appendFileSync(config, `\nstate-directory: ${lab.directory}/state\nsocket: { path: ${lab.directory}/socket }\n`)
    const checked = await asRoot('check', '--config', config)
    assert.match(checked.stderr, /\(state-directory\): it does not start.*\n.*\(socket\.path\): it does not start/)
    const found = await asRoot('doctor', '--config', config, '--json')
    assert.match(found.stdout, /"path-unwritable","level":"error"/)
  })

  it('is not told to take its own directories away, nor to open those of others', async () => {
    const doctor = await asRoot('doctor', '--config', config)
    assert.match(doctor.stdout, /daemon-not-running/)
    assert.doesNotMatch(doctor.stdout, /file-writable|chown/)

    const key = lab.file('home/laptop', 'test\n')
    fs.chmodSync(path.dirname(key), 0o700)
    fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('keys/laptop', key))
    const { stderr } = await asRoot('check', '--config', config)
    assert.match(
      stderr,
      /cannot read \S+\/home; install -g pkctl -m 640 \S+\/home\/laptop \/etc\/pkctl\/keys\/, and name/,
    )
    assert.doesNotMatch(stderr, /chgrp|chmod/)
  })

  it('says whose file it cannot write, and how to get it back', async () => {
    await must(inside(['install', '-m', '600', '/dev/null', '/var/lib/pkctl/replays']))
    const { status, stderr } = await asDaemon('daemon', '--config', config)
    assert.equal(status, 1)
    assert.match(stderr, /permission denied[^]*hint: as root: chown -h 64242:64243 \/var\/lib\/pkctl\/replays\n/)
  })

  it('says of sequences that are good for once that it cannot mark them as used', async () => {
    const shut = lab.file('pkctl/sequences', '7000,8000,9000\n'.repeat(20), 0o644)
    const marked = '/var/lib/pkctl/sequences'
    await must(inside(['install', '-o', String(uid), '-m', '600', shut, marked]))
    const once = (file: string) => `{ type: one-time, sequences-file: ${file}, opens: [ssh] }`
    const settings = fs.readFileSync(config, 'utf8')
    fs.writeFileSync(config, settings.replace('laptop:', `marked: ${once(marked)}, shut: ${once(shut)}, laptop:`))

    for (const args of [
      ['check', '--config'],
      ['apply', '--dry-run'],
      ['close', '--dry-run', '--config'],
    ]) {
      const { stderr } = await asRoot(...args, config)
      assert.match(
        stderr,
        /^pkctl: warning: pkctld, .* cannot write \S+\/pkctl\/sequences \(credentials\.shut\.sequences-file\): it cannot mark a sequence as used, .*\n$/,
        args[0],
      )
      assert.match(stderr, new RegExp(`install -o pkctl -g pkctl -m 600 ${shut} /var/lib/pkctl/`))
    }
    const found = await asRoot('doctor', '--config', config, '--json')
    assert.match(found.stdout, /"path-unwritable","level":"error","message":"[^"]*credentials\.shut\.sequences-file/)
    assert.doesNotMatch(found.stdout, /credentials\.marked\.sequences-file/)
    const { output } = await start()
    assert.match(output, /"warn".*credentials\.shut\.sequences-file: \S+ cannot be written \(permission denied\)/)
    assert.doesNotMatch(output, /credentials\.marked/)
  })

  describe('tells the service manager', () => {
    /** A reader of datagrams, each printed on a line of its own. */
    async function reader(address: string): Promise<Background> {
      const to = address.startsWith('@') ? `ABSTRACT-RECV:${address.slice(1)}` : `UNIX-RECV:${address},mode=777`
      const socat = lab.start('server', inside(['socat', '-u', to, 'STDOUT']))
      const list = address.startsWith('@') ? address : address.replace(/^\/run/, '')
      await until(async () => (await must(inside(['cat', '/proc/net/unix']))).includes(list))
      return socat
    }

    for (const address of ['/run/notify', '@pkctl/test/notify']) {
      it(`at ${address}: ready, reloading, alive, stopping`, async () => {
        const heard = await reader(address)
        const daemon = await start({ NOTIFY_SOCKET: address, WATCHDOG_USEC: '400000' })
        await heard.says(/READY=1\nSTATUS=queue 62, 1 service, 1 credential/)
        await heard.says(/(WATCHDOG=1[^]*){3}/)
        assert.doesNotMatch(heard.output, /RELOADING/)
        daemon.child.kill('SIGHUP')
        await heard.says(/RELOADING=1\nMONOTONIC_USEC=\d+[^]*READY=1\nSTATUS=queue/)
        assert.equal(await daemon.stop(), 0, daemon.output)
        await heard.says(/STOPPING=1$/)
      })
    }

    it('nothing, once the packet path no longer answers', async () => {
      const heard = await reader('/run/notify')
      const daemon = await start({ NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '400000' })
      await heard.says(/WATCHDOG=1/)
      const tracer = await holdPacketThread(lab, daemon.child.pid as number)
      const before = heard.output.length
      await new Promise(done => setTimeout(done, 1500))
      assert.ok(heard.output.length - before <= 'WATCHDOG=1'.length, heard.output.slice(before))
      await tracer.stop('SIGKILL')
      await heard.says(new RegExp(`^[^]{${before + 20},}$`))
    })
  })
})

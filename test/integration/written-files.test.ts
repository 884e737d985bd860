/** Each file and directory of pkctl on a machine where all is in use, compared with "Who may write where" of docs/security.md. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { must, pkctl, root, run, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const ids = { root: 0, pkctl: 64_242, operators: 64_244 } as const
type Name = keyof typeof ids

interface Place {
  /** The first cell of the row. */
  readonly row: string
  readonly files: RegExp
  readonly owner: Name
  readonly group: Name
  readonly mode: string
  /** Only there while it is replaced, when it was full, or where nft and the kernel can own a table. */
  readonly isRare?: true
}

const place = (row: string, files: RegExp, owner: Name, group: Name, mode: string, isRare?: true): Place => ({
  ...{ row, files, owner, group, mode },
  ...(isRare ? { isRare } : {}),
})

const configuration = '`/etc/pkctl/`, `conf.d/`, `keys/`'
const history = '`/var/lib/pkctl/history`, `history-unverified`, and `.old` of both'
const replaced = '`/var/lib/pkctl/*.new`, `replays.old`, `services.json`, `signed-grants`, `fleet-outbox`'
const confirming = '`/run/pkctl-confirm/`, and `rollback.sock` in it'
const own = ['pkctl', 'pkctl'] as const
const places: readonly Place[] = [
  place(configuration, /^\/etc\/pkctl$/, 'root', 'pkctl', '0750'),
  place(configuration, /^\/etc\/pkctl\/(conf\.d|keys)$/, 'root', 'pkctl', '2750'),
  place(configuration, /^\/etc\/pkctl\/(pkctl\.yaml|keys\/\w+)$/, 'root', 'pkctl', '0640'),
  place('`/var/lib/pkctl/`', /^\/var\/lib\/pkctl$/, ...own, '0700'),
  place('`/var/lib/pkctl/replays`, `due`', /^\/var\/lib\/pkctl\/(replays|due)$/, ...own, '0600'),
  place(history, /^\/var\/lib\/pkctl\/history(-unverified)?$/, ...own, '0600'),
  place(history, /^\/var\/lib\/pkctl\/history(-unverified)?\.old$/, ...own, '0600', true),
  place(replaced, /^\/var\/lib\/pkctl\/services\.json$/, ...own, '0600'),
  place(replaced, /^\/var\/lib\/pkctl\/(.*\.new|replays\.old|signed-grants|fleet-outbox)$/, ...own, '0600', true),
  place('the file of `sequences-file`', /^\/var\/lib\/pkctl\/codes$/, ...own, '0600'),
  place('`/var/log/pkctl/`', /^\/var\/log\/pkctl$/, ...own, '0750'),
  place('the file of `log`, such as `/var/log/pkctl/pkctld.log`', /^\/var\/log\/pkctl\/pkctld\.log$/, ...own, '0640'),
  place('`/run/pkctl/`', /^\/run\/pkctl$/, ...own, '0755'),
  place('`/run/pkctl/pkctl.sock`', /^\/run\/pkctl\/pkctl\.sock$/, ...own, '0600'),
  place('`/run/pkctl/pkctl.sock.group`', /^\/run\/pkctl\/pkctl\.sock\.group$/, 'pkctl', 'operators', '0660'),
  place('`/run/pkctl/ruleset-N.lock`', /^\/run\/pkctl\/ruleset-\d+\.lock$/, ...own, '0660'),
  place('`/run/pkctl/ruleset-N.owner`', /^\/run\/pkctl\/ruleset-\d+\.owner$/, ...own, '0644', true),
  place(confirming, /^\/run\/pkctl-confirm$/, 'root', 'root', '0700'),
  place(confirming, /^\/run\/pkctl-confirm\/rollback\.sock$/, 'root', 'root', '0600'),
  place('`/etc/pkctl/pkctl.yaml.unconfirmed`', /^\/etc\/pkctl\/pkctl\.yaml\.unconfirmed$/, 'root', 'pkctl', '0640'),
  place('`/var/lib/pkctl/server-key`', /^\/var\/lib\/pkctl\/server-key$/, ...own, '0600'),
  place(
    'the files of `authorized-keys`, `ca-keys` and `revoked-keys`',
    /^\/etc\/pkctl\/people$/,
    'root',
    'pkctl',
    '0644',
  ),
  place('the file of `metrics: textfile`', /^\/var\/lib\/pkctl\/metrics\.prom$/, ...own, '0644'),
  place('the socket of `metrics: listen`', /^\/run\/pkctl\/metrics\.sock$/, 'pkctl', 'operators', '0660'),
]

/** Rows of files that are elsewhere, or that other tests look at. */
const elsewhere = [
  'such files below `~USER`',
  'the files of `pkctl setup`: `conf.d/*.yaml`, `*.authorized_keys`',
  '`~/.config/pkctl/hosts.yaml`',
  'the directories of `pkctl keygen --out` and `pkctl import --output`',
]

const config = `
log: { to: /var/log/pkctl/pkctld.log, level: debug }
socket: { group: operators }
metrics: { listen: /run/pkctl/metrics.sock, textfile: /var/lib/pkctl/metrics.prom }
services: { ssh: { port: 22 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key-file: keys/laptop, opens: [ssh], on-expiry: { shell: 'true' } }
  codes: { type: one-time, sequences-file: /var/lib/pkctl/codes, opens: [ssh] }
  people: { type: ssh, authorized-keys: people, opens: [ssh] }
`

describe('who may write where', () => {
  const section = fs
    .readFileSync(path.join(root, 'docs/security.md'), 'utf8')
    .split('## Who may write where')[1]
    ?.split('\n## ')[0]
  const rows = new Map(
    [...(section ?? '').matchAll(/^\| (.+?) +\| (.+?) +\|/gm)]
      .slice(2)
      .map(([, name = '', owner = '']): [string, string] => [name, owner]),
  )

  it('has rows that the test knows, with the modes that it expects', () => {
    assert.deepEqual([...rows.keys()].sort(), [...new Set([...places.map(({ row }) => row), ...elsewhere])].sort())
    for (const { row, mode } of places)
      if (
        !(row === configuration && mode === '0640') &&
        !row.includes('.unconfirmed') &&
        !row.includes('rollback.sock')
      )
        assert.match(rows.get(row) ?? '', new RegExp(mode), row)
  })

  describe('on a machine', () => {
    let lab: Lab
    let keeper: Background
    before(async () => {
      lab = await Lab.create()
      await lab.serve(22)
      const users = Object.entries(ids).slice(1)
      const directories = fs
        .readFileSync(path.join(root, 'templates/tmpfiles.conf'), 'utf8')
        .split('\n')
        .flatMap(line => {
          const [type, directory, mode, user, group] = line.split(' ')
          return type === 'd' ? [`install -d -m ${mode} -o ${user} -g ${group} ${directory}`] : []
        })
      // Directories of its own, as the package makes them.
      const script = [
        'mount -t tmpfs tmpfs /mnt; mkdir /mnt/upper /mnt/work',
        'mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc',
        ...['/run', '/var/lib', '/var/log'].map(directory => `mount -t tmpfs -o mode=755 tmpfs ${directory}`),
        ...users.map(([name, id]) => `echo ${name}:x:${id}:${id}::/:/usr/sbin/nologin >>/etc/passwd`),
        ...users.map(([name, id]) => `echo ${name}:x:${id}: >>/etc/group`),
        'rm -rf /etc/pkctl',
        ...directories,
        'echo ready; exec sleep infinity',
      ]
      keeper = lab.start('server', ['unshare', '--mount', '--propagation=private', 'sh', '-ec', script.join('\n')])
      await keeper.says(/ready/)
    })
    after(() => lab.remove())

    const inside = (argv: readonly string[]) => ['nsenter', `--target=${keeper.child.pid}`, '--mount', '--net', ...argv]
    const shell = (command: string) => must(inside(['sh', '-ec', command]))
    const pk = (...args: string[]) => must(inside([process.execPath, pkctl, ...args]))
    const foundBy = async () => {
      const found = await run(
        inside([
          ...['find', '/etc/pkctl', '/var/lib/pkctl', '/var/log/pkctl', '/run/pkctl', '/run/pkctl-confirm'],
          ...['-printf', '%p %U %G %04m\\n'],
        ]),
      )
      return found.stdout
        .trim()
        .split('\n')
        .map(line => line.split(' ') as [string, string, string, string])
    }

    it('no file is missing, and each has the owner, the group and the mode that are said', async () => {
      await shell(
        [
          'umask 022',
          "printf '7000,8000,9000\\n1000,2000,3000\\n' >/var/lib/pkctl/codes",
          'chown pkctl:pkctl /var/lib/pkctl/codes; chmod 600 /var/lib/pkctl/codes',
          "printf 'test\\n' >/etc/pkctl/keys/laptop; chmod 640 /etc/pkctl/keys/laptop",
          ': >/etc/pkctl/people; chgrp pkctl /etc/pkctl/people',
          `cat >/etc/pkctl/pkctl.yaml <<'END'\n${config}END`,
          'chgrp pkctl /etc/pkctl/pkctl.yaml; chmod 640 /etc/pkctl/pkctl.yaml',
        ].join('\n'),
      )
      await pk('keygen', '--server')
      await pk('keygen', '--out', '/etc/pkctl/keys/made')
      const asDaemon = [
        ...['setpriv', `--reuid=${ids.pkctl}`, `--regid=${ids.pkctl}`, `--groups=${ids.operators}`],
        ...['--inh-caps=-all,+net_admin', '--ambient-caps=+net_admin', '--bounding-set=-all,+net_admin'],
      ]
      const daemon = lab.start('server', inside([...asDaemon, process.execPath, pkctl, 'daemon']))
      await until(async () => (await run(inside([process.execPath, pkctl, 'status']))).status === 0).catch(() =>
        assert.fail(daemon.output),
      )
      const send = (hex: string) => ({ send: { host: server4, port: knockPort, from: client4, hex } })
      await lab.peer(send(knockHex({ key: 'wrong' })), send(knockHex()))
      await until(async () => (await lab.opens(server4, client4)) === 'open')
      await pk('add', stranger4, '--service', 'ssh', '--for', '1h')
      await shell("sed -i 's/port: 22/port: [22, 2222]/' /etc/pkctl/pkctl.yaml")
      await pk('apply', '/etc/pkctl/pkctl.yaml', '--confirm', '1h')

      const expected = places.filter(({ isRare }) => !isRare)
      const met = async () => {
        const found = await foundBy()
        return { found, missing: expected.filter(({ files }) => !found.some(([name]) => files.test(name))) }
      }
      await until(async () => (await met()).missing.length === 0).catch(async () =>
        assert.deepEqual(
          (await met()).missing.map(({ files }) => String(files)),
          [],
          daemon.output,
        ),
      )
      for (const [name, owner, group, mode] of (await met()).found) {
        const [said, ...others] = places.filter(({ files }) => files.test(name))
        assert.ok(said && others.length === 0, `${name} is in no row of docs/security.md`)
        assert.deepEqual(
          [name, Number(owner), Number(group), mode],
          [name, ids[said.owner], ids[said.group], said.mode],
        )
      }
      await pk('confirm')
      assert.equal(await daemon.stop(), 0, daemon.output)
    })
  })
})

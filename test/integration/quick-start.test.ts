/**
 * The quick start of README.md, from the package to ssh by knock: its own lines in one go, with the programs of the .deb, a
 * real sshd and a real ssh. The package is unpacked, and the test plays the part of systemd.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background, Result } from '../support/commands.js'
import { must, root, run, until } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { startSshd } from '../support/sshd.js'

const page = fs.readFileSync(path.join(root, 'README.md'), 'utf8')
const blocks = [...page.matchAll(/^```(sh)\n([^]*?)^```$/gm)].map(([, language, text = '']) => ({
  language,
  text,
}))
const blockWith = (start: string) => blocks.find(({ text }) => text.startsWith(start))?.text ?? assert.fail(start)
const linesOf = (start: string) => blockWith(start).trimEnd().split('\n')

describe('the quick start of the README', () => {
  let lab: Lab
  let daemon: Background
  const sides = new Map<'server' | 'client', Background>()
  let invitation = ''

  before(async () => {
    lab = await Lab.create()
    const { directory } = lab
    const build = ['bash', path.join(root, 'scripts/build-packages.sh'), path.join(directory, 'packages'), 'deb']
    // Node.js is 120 MB in the package.
    await must(build, { env: { PKCTL_PACKAGE_CPUS: 'x64', PKCTL_PACKAGE_FAST: '1' }, milliseconds: 300_000 })
    const deb = fs.readdirSync(path.join(directory, 'packages')).find(name => name.endsWith('_amd64.deb'))
    await must(['dpkg-deb', '-x', path.join(directory, 'packages', deb ?? ''), path.join(directory, 'package')])
    await startSshd(lab)
    for (const side of ['server', 'client'] as const) await enter(side)
    // The package starts it when it is installed, before there is a configuration.
    daemon = start('server', 'exec pkctld')
    await daemon.says(/listening on queue/)
  })
  after(() => lab.remove())

  /** Gives the side directories of its own, with the package installed, and a home that has the user's SSH key. */
  async function enter(side: 'server' | 'client'): Promise<void> {
    const own = path.join(lab.directory, side)
    const unpacked = path.join(lab.directory, 'package')
    const home = path.join(own, 'home')
    fs.mkdirSync(path.join(home, '.ssh'), { recursive: true, mode: 0o700 })
    for (const name of ['bin', 'etc']) fs.mkdirSync(path.join(own, name))
    const read = (name: string) => fs.readFileSync(path.join(lab.directory, name), 'utf8')
    if (side === 'client') {
      lab.file('client/home/.ssh/id_ed25519', read('user'))
      lab.file('client/home/.ssh/id_ed25519.pub', read('user.pub'))
      lab.file('client/home/.ssh/known_hosts', read('known_hosts').replace(/^server /, 'server.example '))
    } else {
      lab.file('server/alice.pub', read('user.pub'))
      const reload = `exec $(sed -n 's/^ExecReload=//p' /usr/lib/systemd/system/pkctld.service)`
      const units = 'enable --quiet pkctl-rules.service pkctld.service'
      const cases = `"${units}") ;;\n"reload-or-restart pkctld.service") ${reload} ;;\n*) exit 1 ;;`
      lab.file('server/bin/systemctl', `#!/bin/sh\ncase "$*" in\n${cases}\nesac\n`, 0o755)
    }
    const script = [
      `mount --bind -o ro /etc ${own}/etc`,
      'mount -t tmpfs -o mode=755 tmpfs /etc',
      `ln -s ${own}/etc/* /etc && rm -rf /etc/pkctl /etc/hosts /etc/passwd`,
      `cp -r ${unpacked}/etc/pkctl /etc/pkctl`,
      `printf '${server4} server.example\\n' >/etc/hosts`,
      `printf 'root:x:0:0:root:${home}:/bin/sh\\n' >/etc/passwd`,
      'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/system && mount -t tmpfs -o mode=755 tmpfs /var/lib',
      `mount -t overlay overlay -o lowerdir=${unpacked}/usr:/usr /usr`,
      'echo entered && exec sleep 600',
    ]
    const keeper = lab.start(side, ['/bin/sh', '-ec', script.join('\n')])
    await keeper.says(/entered/)
    sides.set(side, keeper)
  }

  const argv = (side: 'server' | 'client', command: string) => {
    const own = path.join(lab.directory, side)
    const paths = [path.join(own, 'bin'), '/usr/sbin', '/usr/bin', '/sbin', '/bin']
    const environment = [`PATH=${paths.join(':')}`, `HOME=${own}/home`, 'LC_ALL=C']
    const inside = ['nsenter', `--target=${sides.get(side)?.child.pid}`, '--mount', '--net', `--wdns=${own}`]
    return [...inside, 'env', '-i', ...environment, '/bin/sh', '-c', command]
  }
  const on = (side: 'server' | 'client', command: string): Promise<Result> => run(argv(side, command), { input: '' })
  const start = (side: 'server' | 'client', command: string) => lab.start(side, argv(side, command))
  async function mustOn(side: 'server' | 'client', command: string): Promise<string> {
    const { status, stdout, stderr } = await on(side, command)
    assert.equal(status, 0, `${command}: ${stdout}${stderr}`)
    return stdout
  }

  it('takes one command on the server, after which the port is closed', async () => {
    assert.equal(await lab.opens(server4, client4), 'open')
    const [setup = '', ...more] = linesOf('pkctl setup')
    assert.deepEqual(more, [])
    const said = await mustOn('server', setup)
    invitation = /pkctl:\/\/[^\s']+/.exec(said)?.[0] ?? ''
    await until(async () => (await lab.opens(server4, client4)) === 'timeout')
  })

  it('and two at the client, of which the second is ssh', async () => {
    const [join = '', ssh = '', ...more] = linesOf('pkctl join')
    assert.deepEqual(more, [])
    const shown = /'(pkctl:.*)'/.exec(join)?.[1] ?? ''
    const withoutIdentity = (line: string) => line.replace(/id=pk1:[\w-]{43}/, 'id=')
    assert.equal(withoutIdentity(invitation), withoutIdentity(shown), 'the line is as the README shows it')
    assert.match(await mustOn('client', join.replace(shown, invitation)), /port 22\/tcp is open/)
    assert.equal(await mustOn('client', `${ssh} echo there`), 'there\n')
    assert.match(daemon.output, /knock by alice \(SHA256:.*, ssh-users\) from 10\.77\.0\.2 opens ssh for 60 s/)
  })

  it('and stays closed to others after pkctl confirm', async () => {
    await mustOn('server', 'pkctl confirm')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    assert.match(await mustOn('server', 'pkctl list'), /granted: 10\.77\.0\.2/)
  })
})

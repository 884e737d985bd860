/** The packages: what is in them, for which machine, and what becomes of a system that they are installed on. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { must } from '../support/commands.js'
import { Packages, runtimeVersion, version } from '../support/packages.js'
import { System } from '../support/system.js'

const newer = '99.1'
const packages = new Packages()
const { deb, rpm } = packages

before(async () => {
  await packages.build(['deb', 'rpm'])
  await packages.build(['deb'], { PKCTL_VERSION: newer, PKCTL_PACKAGE_CPUS: 'x64' })
})
after(() => packages.remove())

const everywhere = [
  '/etc/logrotate.d/pkctl',
  '/etc/pkctl/conf.d',
  '/etc/pkctl/keys',
  '/etc/pkctl/pkctl.yaml',
  '/usr/bin/pkctl',
  '/usr/bin/pkctld',
  '/usr/bin/pktables',
  '/usr/lib/pkctl/dist/src/cli/pkctl.js',
  '/usr/lib/pkctl/dist/src/cli/packet-worker.js',
  '/usr/lib/pkctl/dist/src/cli/signature-worker.js',
  '/usr/lib/pkctl/licenses/commander/LICENSE',
  '/usr/lib/pkctl/licenses/node/LICENSE',
  '/usr/lib/pkctl/licenses/prom-client/LICENSE',
  '/usr/lib/pkctl/licenses/zod/LICENSE',
  '/usr/lib/pkctl/node',
  '/usr/lib/pkctl/node_modules/ffi-rs/package.json',
  '/usr/lib/pkctl/package.json',
  '/usr/lib/systemd/system/pkctl-rules.service',
  '/usr/lib/systemd/system/pkctld.service',
  '/usr/lib/systemd/system/nftables.service.d/pkctl.conf',
  '/usr/lib/sysusers.d/pkctl.conf',
  '/usr/lib/tmpfiles.d/pkctl.conf',
  '/usr/share/bash-completion/completions/pkctl',
  '/usr/share/doc/pkctl/CHANGELOG.md',
  '/usr/share/doc/pkctl/COMPATIBILITY.md',
  '/usr/share/doc/pkctl/CONTRIBUTING.md',
  '/usr/share/doc/pkctl/README.md',
  '/usr/share/doc/pkctl/SECURITY.md',
  '/usr/share/doc/pkctl/docs/installation.md',
  '/usr/share/doc/pkctl/docs/packet-path.svg',
  '/usr/share/doc/pkctl/examples/ansible/inventory.example.yml',
  '/usr/share/doc/pkctl/examples/ansible/roles/pkctl/tasks/main.yml',
  '/usr/share/doc/pkctl/examples/ansible/site.yml',
  '/usr/share/doc/pkctl/examples/cloud-init.yaml',
  '/usr/share/doc/pkctl/examples/crowdsec/parsers/pkctl-logs.yaml',
  '/usr/share/doc/pkctl/examples/fail2ban/filter.d/pkctl.conf',
  '/usr/share/doc/pkctl/examples/monitoring/dashboard.json',
  '/usr/share/doc/pkctl/examples/monitoring/pkctl.rules.yml',
  '/usr/share/doc/pkctl/examples/pkctl-guests',
  '/usr/share/doc/pkctl/examples/pkctl.yaml',
  '/usr/share/doc/pkctl/pkctl.cdx.json',
  '/usr/share/fish/vendor_completions.d/pkctl.fish',
  '/usr/share/man/man1/pkctl.1.gz',
  '/usr/share/man/man1/pktables.1.gz',
  '/usr/share/man/man5/pkctl.yaml.5.gz',
  '/usr/share/man/man8/pkctld.8.gz',
]

function checkFiles(files: readonly string[], cpu: string, own: readonly string[]): void {
  const there = new Set(files)
  for (const file of [...everywhere, ...own]) assert.ok(there.has(file), file)
  const native = files.filter(file => file.endsWith('.node'))
  assert.deepEqual(native, [`/usr/lib/pkctl/node_modules/@yuuang/ffi-rs-linux-${cpu}-gnu/ffi-rs.linux-${cpu}-gnu.node`])
  const needless = files.filter(file =>
    /node_modules\/(typescript|eslint|@types)\b|pkctl\/dist\/test|\.d?\.?ts$|\.map$/.test(file),
  )
  assert.deepEqual(needless, [])
}

/** Of https://cyclonedx.org/docs/1.5/json/, what is looked at here. */
interface Bom {
  metadata: { component: { 'bom-ref': string; name: string } }
  components: { 'bom-ref': string; name: string; version: string }[]
  dependencies: { ref: string; dependsOn: string[] }[]
}

/** It names what the licences are for and the native library, and nothing else. */
function checkBom(bom: Bom, cpu: string, files: readonly string[]): void {
  const licensed = files.flatMap(file => /^\/usr\/lib\/pkctl\/licenses\/(.*)\/LICENSE$/.exec(file)?.[1] ?? [])
  const named = bom.components.map(({ name }) => name)
  // Of some packages there are two versions.
  assert.deepEqual([...new Set(named)].sort(), [...licensed, 'ffi-rs', `@yuuang/ffi-rs-linux-${cpu}-gnu`].sort())
  const references = new Set([bom.metadata.component, ...bom.components].map(component => component['bom-ref']))
  assert.equal(bom.metadata.component.name, 'pkctl')
  assert.deepEqual(new Set(bom.dependencies.map(({ ref }) => ref)), references)
  for (const { dependsOn } of bom.dependencies) for (const ref of dependsOn) assert.ok(references.has(ref), ref)
}

/** What the machine of an ELF file is called in its header. */
const machines = { x64: 62, arm64: 183 }

describe('the .deb', () => {
  for (const [architecture, cpu] of [
    ['amd64', 'x64'],
    ['arm64', 'arm64'],
  ] as const) {
    it(`for ${architecture} has what belongs there, and Node.js and the library for its machine`, async () => {
      const lines = (await must(['dpkg-deb', '-c', deb(architecture)])).trimEnd().split('\n')
      const files = lines.map(line => (line.split(/\s+/)[5] ?? '').slice(1).replace(/\/$/, ''))
      checkFiles(files, cpu, [
        '/etc/apparmor.d/usr.bin.pkctld',
        '/usr/share/doc/pkctl/changelog.gz',
        '/usr/share/doc/pkctl/copyright',
        '/usr/share/zsh/vendor-completions/_pkctl',
      ])
      for (const line of lines) assert.match(line, /^\S+ root\/root /)
      const library = `./usr/lib/pkctl/node_modules/@yuuang/ffi-rs-linux-${cpu}-gnu/ffi-rs.linux-${cpu}-gnu.node`
      const packed = `dpkg-deb --fsys-tarfile ${deb(architecture)}`
      for (const file of [library, './usr/lib/pkctl/node']) {
        const machine = await must(['bash', '-c', `${packed} | tar -xO ${file} | od -An -tu2 -j18 -N2`])
        assert.equal(Number(machine), machines[cpu], file)
      }
      const bom = JSON.parse(
        await must(['bash', '-c', `${packed} | tar -xO ./usr/share/doc/pkctl/pkctl.cdx.json`]),
      ) as Bom
      checkBom(bom, cpu, files)
    })
  }

  it('depends on what it needs, and on no Node.js', async () => {
    const field = async (name: string) => (await must(['dpkg-deb', '-f', deb('amd64'), name])).trim()
    assert.equal(await field('Version'), version)
    assert.match(await field('Depends'), /libnetfilter-queue1, libstdc\+\+6 .*, nftables$/)
    for (const name of ['Depends', 'Recommends', 'Suggests']) assert.doesNotMatch(await field(name), /nodejs/)
    assert.equal((await must(['dpkg-deb', '-f', deb('amd64', newer), 'Version'])).trim(), newer)
  })
})

describe('the .rpm', () => {
  for (const [architecture, cpu] of [
    ['x86_64', 'x64'],
    ['aarch64', 'arm64'],
  ] as const) {
    it(`for ${architecture} has the same, and closes the configuration to others`, async () => {
      const format = '[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEFLAGS:fflags}\\n]'
      const lines = (await must(['rpm', '-qp', '--qf', format, rpm(architecture)])).trimEnd().split('\n')
      const files = lines.map(line => line.split(' ')[0] as string)
      checkFiles(files, cpu, ['/usr/share/licenses/pkctl/LICENSE', '/usr/share/zsh/site-functions/_pkctl'])
      assert.ok(lines.includes('/etc/pkctl/pkctl.yaml -rw-r----- root pkctl cn'), 'noreplace')
      assert.ok(lines.includes('/etc/pkctl/keys drwxr-s--- root pkctl '))
      assert.deepEqual(
        lines.filter(line => !/ root (root|pkctl)( |$)/.test(line)),
        [],
      )
      assert.equal((await must(['rpm', '-qp', '--qf', '%{ARCH}', rpm(architecture)])).trim(), architecture)
      const requires = await must(['rpm', '-qp', '--requires', rpm(architecture)])
      for (const name of ['nftables', 'libnetfilter_queue', 'libstdc++'.replaceAll('+', '\\+')])
        assert.match(requires, new RegExp(`^${name}$`, 'm'))
      assert.doesNotMatch(requires, /node/)
      assert.doesNotMatch(await must(['rpm', '-qp', '--recommends', rpm(architecture)]), /node/)
    })
  }
})

describe('a system', () => {
  let system: System

  before(async () => {
    system = await System.create([deb('amd64'), deb('amd64', newer)])
  })
  after(() => system.remove())

  const table = async () => (await system.shell('nft list table inet pkctl')).stdout.replace(/expires \S+/g, '')

  it('has everything in its place after the installation, and nothing closed', async () => {
    // There is no other Node.js than that of the package.
    await system.must('rm -f /usr/bin/node /usr/bin/nodejs /usr/local/bin/node && ! command -v node')
    const { status, stderr } = await system.shell(`dpkg -i /tmp/pkctl_${version}_amd64.deb`)
    assert.equal(status, 0, stderr)
    assert.equal((await system.must('pkctl --version')).trim(), version)
    assert.match(await system.must('pkctl check'), /pkctl\.yaml is valid: 0 services, 0 credentials/)
    assert.equal(
      await system.must('stat -c "%n %A %U %G" /etc/pkctl /etc/pkctl/* /var/lib/pkctl /run/pkctl'),
      [
        '/etc/pkctl drwxr-x--- root pkctl',
        '/etc/pkctl/conf.d drwxr-s--- root pkctl',
        '/etc/pkctl/keys drwxr-s--- root pkctl',
        '/etc/pkctl/pkctl.yaml -rw-r----- root pkctl',
        '/var/lib/pkctl drwx------ pkctl pkctl',
        '/run/pkctl drwxr-xr-x pkctl pkctl',
        '',
      ].join('\n'),
    )
    assert.match(
      await system.must('getent passwd pkctl'),
      /^pkctl:x:\d+:\d+:pkctl daemon:\/var\/lib\/pkctl:\S*nologin$/m,
    )
    assert.equal(await table(), '')
    const enabled = await system.must('cd /etc/systemd/system && ls -d */pkctl*')
    assert.match(enabled, /^sysinit\.target\.wants\/pkctl-rules\.service$/m)
    assert.match(enabled, /^multi-user\.target\.wants\/pkctld\.service$/m)
    assert.match(await system.must('man -w pkctld; man -w 5 pkctl.yaml'), /man8\/pkctld\.8\.gz\n.*man5\/pkctl\.yaml/)
  })

  it('has the programs compiled, by the Node.js of the package, for all its users', async () => {
    const programs = '/usr/lib/pkctl/dist/src/cli'
    const folder = (await system.must(`ls -d ${programs}/compiled/*`)).trim()
    const node = (await system.must('/usr/lib/pkctl/node --version')).trim()
    assert.equal(node, `v${runtimeVersion}`)
    assert.equal(folder, `${programs}/compiled/${node}-${process.arch}`)
    const files = (await system.must(`cd ${folder} && stat -c '%A %U %n' main-pkctl-*.cjs part-daemon-*.cjs`)).trim()
    for (const file of files.split('\n')) assert.match(file, /^-rw-r--r-- root /)
    // As by a package with another Node.js, before.
    await system.must(`mv ${folder} ${programs}/compiled/v1.0.0-x64`)
    await system.must(`/var/lib/dpkg/info/pkctl.postinst configure ${version}`)
    assert.equal((await system.must(`ls -d ${programs}/compiled/*`)).trim(), folder)
  })

  it('has units that systemd understands, and that leave the daemon little', async () => {
    for (const unit of ['pkctld', 'pkctl-rules']) {
      const { status, stderr } = await system.shell(`systemd-analyze verify ${unit}.service`)
      assert.equal(status, 0, stderr)
      assert.doesNotMatch(stderr, /pkctl/)
      const score = await system.must(`systemd-analyze security --offline=true ${unit}.service`)
      const [, exposure = ''] = /Overall exposure level for \S+: ([\d.]+)/.exec(score) ?? []
      assert.ok(Number(exposure) > 0 && Number(exposure) < 2, `${unit}: ${exposure}\n${score}`)
    }
  })

  it('has a profile that AppArmor can parse, and a logrotate that has nothing to do', async () => {
    const parsed = await system.shell('apparmor_parser --skip-kernel-load --skip-cache /etc/apparmor.d/usr.bin.pkctld')
    assert.equal(parsed.status, 0, parsed.stderr)
    const names = await system.must('apparmor_parser --names /etc/apparmor.d/usr.bin.pkctld')
    assert.equal(names.trim(), 'pkctld')
    const { status, stderr } = await system.shell('logrotate --debug /etc/logrotate.d/pkctl')
    assert.equal(status, 0, stderr)
    assert.match(stderr, /\/var\/log\/pkctl\/\*\.log .*weekly/)
    assert.match(stderr, /log does not exist -- skipping|No logs found|no logs/i)
  })

  it('lets the daemon read a key that root makes in the folder for keys', async () => {
    await system.must('umask 022; pkctl keygen --out /etc/pkctl/keys/laptop')
    assert.equal((await system.must('stat -c "%A %U %G" /etc/pkctl/keys/laptop')).trim(), '-rw-r----- root pkctl')
    const config = [
      'services: { ssh: { port: 22 } }',
      'credentials: { laptop: { type: pkd, tag: SSHK, key-file: keys/laptop, opens: [ssh] } }',
    ]
    await system.must(`printf '%s\\n' '${config.join("' '")}' >/etc/pkctl/pkctl.yaml`)
    const { status, stderr } = await system.shell('setpriv --reuid=pkctl --regid=pkctl --clear-groups pkctl check')
    assert.deepEqual([status, stderr], [0, ''])
    assert.equal((await system.shell('pkctl check')).stderr, '')
  })

  it('keeps configuration, closed ports and grants when it is upgraded', async () => {
    await system.must('pkctl close && pkctl add 192.0.2.7 --service ssh --for 8h')
    const before = await table()
    assert.match(before, /192\.0\.2\.7/)
    const { status, stderr } = await system.shell(`dpkg -i /tmp/pkctl_${newer}_amd64.deb`)
    assert.equal(status, 0, stderr)
    assert.equal((await system.must('pkctl --version')).trim(), newer)
    assert.match(await system.must('cat /etc/pkctl/pkctl.yaml'), /laptop/)
    assert.match(await system.must('pkctl check'), /1 service, 1 credential$/m)
    assert.equal(await table(), before)
  })

  it('stays closed when the package is removed, which says how to open it', async () => {
    const { status, stderr } = await system.shell('dpkg -r pkctl')
    assert.equal(status, 0, stderr)
    assert.match(stderr, /pkctl: what it closed stays closed until the next boot; .*nft delete table inet pkctl/)
    assert.match(await table(), /192\.0\.2\.7/)
    assert.match(await system.must('cat /etc/pkctl/pkctl.yaml'), /laptop/)
  })

  it('has nothing of pkctl left when it is purged, and is open, which is said', async () => {
    const { status, stderr } = await system.shell('dpkg -P pkctl')
    assert.equal(status, 0, stderr)
    assert.match(stderr, /pkctl: what it closed is open now/)
    assert.equal(await table(), '')
    assert.equal((await system.shell('getent passwd pkctl; getent group pkctl')).stdout, '')
    const left = await system.must(
      'find /etc /usr/bin /usr/lib /usr/share /var /run -xdev -path /var/cache -prune -o \\( -name "*pkctl*" -o -name "pktables*" \\) -print',
    )
    assert.equal(left, '')
  })
})

/**
 * The packages, by what others do with them: lintian, piuparts, apt with a repository of them, and a second build.
 *
 * Time limit: 15 minutes
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { must, root } from '../support/commands.js'
import { buildMilliseconds, fastBuild, Packages, version } from '../support/packages.js'
import { System } from '../support/system.js'

const newer = '99.1'
const packages = new Packages()
const { deb, rpm } = packages

before(async () => {
  await packages.build(['deb', 'rpm'], { PKCTL_PACKAGE_CPUS: 'x64' })
  await packages.build(['deb'], { PKCTL_VERSION: newer, PKCTL_PACKAGE_CPUS: 'x64' })
})
after(() => packages.remove())

describe('lintian', () => {
  it('finds no error and no warning in the .deb', async () => {
    assert.equal(
      await must(['lintian', '--allow-root', '--fail-on', 'none', deb('amd64')], { milliseconds: buildMilliseconds }),
      '',
    )
  })
})

describe('piuparts', () => {
  it('finds nothing left, nor changed by others, after the package was installed, removed and purged', async () => {
    const { VERSION_CODENAME: suite = '' } = Object.fromEntries(
      fs
        .readFileSync('/etc/os-release', 'utf8')
        .split('\n')
        .map(line => line.split('=')),
    ) as Record<string, string>
    const format = ['--format', '$(REPO_URI)', 'Created-By: Packages']
    const [mirror = ''] = (await must(['apt-get', 'indextargets', ...format])).split('\n')
    const base = path.join(packages.directory, 'base')
    const minimal = ['--quiet', '--mode=root', '--variant=minbase', '--include=ca-certificates']
    await must(['mmdebstrap', ...minimal, suite, base, mirror], { milliseconds: buildMilliseconds })
    const place = ['--existing-chroot', base, '--tmpdir', packages.directory, '--distribution', suite]
    const found = await must(
      ['piuparts', ...place, '--mirror', `${mirror} main`, '--no-eatmydata', '--warn-on-others', deb('amd64')],
      { milliseconds: buildMilliseconds },
    )
    assert.match(found, /PASS: All tests/)
  })
})

describe('a repository for apt', () => {
  let system: System
  const home = '/tmp/gnupg'
  const newest = deb('amd64', newer)

  before(async () => {
    system = await System.create([deb('amd64'), newest, path.join(root, 'scripts/apt-repository.sh')])
    await system.must('mkdir /tmp/packages && mv /tmp/*.deb /tmp/packages')
    const make = '--batch --passphrase "" --quick-generate-key "pkctl test" default default never'
    await system.must(`mkdir -m 700 ${home} && gpg --homedir ${home} ${make}`)
    await publish()
    await system.must('rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*')
    await system.must('install -D -m 644 /tmp/site/pkctl.sources /etc/apt/sources.list.d/pkctl.sources')
    await system.must('install -D -m 644 /tmp/site/pkctl.gpg /usr/share/keyrings/pkctl.gpg')
  })
  after(() => system.remove())

  const publish = () =>
    system.must(
      `GNUPGHOME=${home} bash /tmp/apt-repository.sh /tmp/site file:///tmp/site "pkctl test" /tmp/packages/*.deb`,
    )
  const update = () => system.shell('apt-get -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any update')

  it('is one that apt verifies, and installs a given and the newest version from', async () => {
    const { status, stderr } = await update()
    assert.equal(status, 0, stderr)
    assert.deepEqual(
      (await system.must('apt-cache madison pkctl')).match(/ \d\S* /g)?.map(one => one.trim()),
      [newer, version],
    )
    for (const [wanted, installed] of [
      [`pkctl=${version}`, version],
      ['pkctl', newer],
    ]) {
      await system.must(`apt-get install -y --no-install-recommends ${wanted}`)
      assert.equal((await system.must('pkctl --version')).trim(), installed)
    }
  })

  it('is refused by apt when a list of it was changed, or another key has signed it', async () => {
    await system.must('sed -i s/^Package/package/ /tmp/site/dists/stable/main/binary-amd64/Packages')
    await system.must('rm -rf /var/lib/apt/lists/* /tmp/site/dists/stable/main/binary-amd64/Packages.gz')
    assert.notEqual((await update()).status, 0)
    await publish()
    assert.equal((await update()).status, 0)
    const make = '--batch --passphrase "" --quick-generate-key "another one" default default never'
    await system.must(`gpg --homedir ${home} ${make}`)
    const sign = '--batch --yes --local-user "another one" --clearsign --output InRelease Release'
    await system.must(`cd /tmp/site/dists/stable && gpg --homedir ${home} ${sign} && rm Release.gpg`)
    const { status, stderr } = await update()
    assert.notEqual(status, 0)
    assert.match(stderr, /NO_PUBKEY|not signed/)
  })
})

describe('a second build', () => {
  it('of the same source, in another folder and time zone, has the same bytes', async () => {
    const again = fs.mkdtempSync('/tmp/pkctl-packages-again-')
    try {
      const elsewhere = `${again}/a folder of another name`
      fs.mkdirSync(elsewhere)
      const script = `
        mount --bind ${root} "$1"
        cd "$1"
        umask 077
        exec bash scripts/build-packages.sh ${again} deb rpm`
      const env = { ...fastBuild, PKCTL_PACKAGE_CPUS: 'x64', TZ: 'Pacific/Auckland', LC_ALL: 'C.UTF-8' }
      await must(['unshare', '--mount', '--propagation=private', 'bash', '-ec', script, 'bash', elsewhere], {
        env,
        milliseconds: buildMilliseconds,
      })
      for (const file of [deb('amd64'), rpm('x86_64')]) {
        assert.ok(fs.readFileSync(path.join(again, path.basename(file))).equals(fs.readFileSync(file)), file)
      }
    } finally {
      fs.rmSync(again, { recursive: true })
    }
  })
})

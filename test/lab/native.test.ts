/**
 * The packet path on the kernel of a distribution, whose nft has the `queue` statement: a machine of its own, in
 * software emulation, runs the integration tests of the knock. Some two minutes, most of it the emulation.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Background, dist, must, root } from '../support/commands.js'

const machine = path.join(root, 'test/lab/machine')

const needed = ['qemu-system-x86_64', 'mmdebstrap', 'mke2fs', 'cpio', 'busybox', 'depmod']

/** Why the machine cannot be had here, if it cannot. */
function obstacle(): string | undefined {
  if (process.arch !== 'x64') return 'the machine is built for amd64'
  if (process.getuid?.() !== 0) return 'building the machine needs root'
  if (!fs.existsSync('/etc/debian_version')) return 'the machine is built from Debian packages'
  const found = (name: string) =>
    ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some(dir => fs.existsSync(`${dir}/${name}`))
  const missing = needed.filter(name => !found(name))
  return missing.length > 0 ? `there is no ${missing.join(', ')}` : undefined
}

const skip = obstacle() ?? false

describe('on a Debian kernel, with nft queue', { skip, timeout: 600_000 }, () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-machine-'))
  const image = path.join(directory, 'machine')

  before(() => build(path.join(machine, 'build.sh'), image))
  after(() => fs.rmSync(directory, { recursive: true, force: true }))

  async function build(script: string, out: string): Promise<void> {
    const background = new Background([script, out])
    assert.equal(await background.exited, 0, background.output)
  }

  /** Runs a script inside, with the compiled project and its production packages around it. */
  async function runInside(script: string, seconds: number): Promise<string> {
    const job = path.join(directory, 'job')
    const result = path.join(directory, 'result')
    fs.rmSync(job, { recursive: true, force: true })
    fs.cpSync(dist, path.join(job, 'dist'), { recursive: true })
    for (const file of ['package.json', 'package-lock.json'])
      fs.copyFileSync(path.join(root, file), path.join(job, file))
    fs.cpSync(path.join(root, 'scripts'), path.join(job, 'scripts'), { recursive: true })
    for (const name of await productionPackages()) {
      fs.cpSync(path.join(root, 'node_modules', name), path.join(job, 'node_modules', name), { recursive: true })
    }
    fs.writeFileSync(path.join(job, 'run'), script)
    const background = new Background([path.join(machine, 'run.sh'), image, job, result, String(seconds)])
    const status = await background.exited
    const read = (name: string) => {
      const file = path.join(result, name)
      return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
    }
    const said = `${background.output}${read('stdout')}${read('stderr')}`
    assert.equal(status, 0, said)
    return said
  }

  async function productionPackages(): Promise<string[]> {
    const listed = await must(['npm', 'ls', '--omit=dev', '--all', '--parseable'], { cwd: root })
    const prefix = path.join(root, 'node_modules') + path.sep
    return listed.split('\n').flatMap(line => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []))
  }

  it('the demo, and the tests of the knock', async () => {
    const said = await runInside(
      // Emulated, all is slower, and a first answer may take longer; a repeated SYN would still come later than this.
      'export PKCTL_TEST_PATIENCE=950; node dist/test/demo.js && node scripts/run-tests.js integration/knock',
      420,
    )
    assert.match(said, /listening on queue 62 by nft's queue statement/)
    assert.match(said, /Each step happened as told/)
    assert.match(said, /\n2 passed, 0 failed\n/)
  })
})

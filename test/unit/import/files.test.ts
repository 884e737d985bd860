/** Who can read the files that `pkctl import` writes. Needs root, which gives files to a group. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { main } from '../../../src/cli/program.js'

const quiet = {
  out: () => undefined,
  error: (message: string) => assert.fail(message),
  hint: () => undefined,
  warn: () => undefined,
  strong: String,
  errorLine: () => undefined,
  difference: () => undefined,
}

const octal = (mode: number) => (mode & 0o7777).toString(8).padStart(4, '0')

/** `0640 4242`: mode and group. */
const accessOf = (file: string) => {
  const { mode, gid } = fs.statSync(file)
  return `${octal(mode)} ${gid}`
}

const group = 4242

describe('files of pkctl import', () => {
  let directory: string
  let actions: string

  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-import-files-'))
    actions = path.join(directory, 'actions.d')
    fs.mkdirSync(actions)
    fs.writeFileSync(path.join(actions, 'ssh.json'), '[{"name": "laptop", "key": "secret", "port": 22}]')
  })
  after(() => fs.rmSync(directory, { recursive: true }))

  function folder(mode: number, gid: number): string {
    const made = fs.mkdtempSync(path.join(directory, 'folder-'))
    fs.chownSync(made, 0, gid)
    fs.chmodSync(made, mode)
    return made
  }

  function fileIn(made: string, name: string, mode: number, gid: number): string {
    const file = path.join(made, name)
    fs.writeFileSync(file, 'old')
    fs.chownSync(file, 0, gid)
    fs.chmodSync(file, mode)
    return file
  }

  /** Configuration and key, both into one directory. */
  async function importInto(made: string, ...flags: string[]): Promise<string[]> {
    const output = path.join(made, 'pkctl.yaml')
    // The status that it returns is that of the process, which is another one after a test that failed.
    await main(['import', 'nf-pkd', actions, '--keys', made, '--output', output, ...flags], quiet)
    assert.match(fs.readFileSync(output, 'utf8'), /key-file: /)
    assert.equal(fs.readFileSync(path.join(made, 'laptop'), 'utf8').trim(), 'secret')
    assert.deepEqual(
      fs.readdirSync(made).filter(name => name.includes('.new')),
      [],
    )
    return [output, path.join(made, 'laptop')].map(accessOf)
  }

  for (const [mode, gid, want] of [
    [0o2750, group, `0640 ${group}`],
    [0o2755, group, `0600 ${group}`],
    [0o750, group, '0600 0'],
    [0o2750, 0, '0600 0'],
  ] as const) {
    it(`in a directory of mode ${octal(mode)} and group ${gid} are ${want}, whatever the umask`, async () => {
      for (const umask of [0o077, 0]) {
        const usual = process.umask(umask)
        try {
          assert.deepEqual(await importInto(folder(mode, gid)), [want, want])
        } finally {
          process.umask(usual)
        }
      }
    })
  }

  for (const [mode, gid, want] of [
    [0o640, group, `0640 ${group}`],
    [0o660, group, `0640 ${group}`],
    [0o644, group, `0640 ${group}`],
    [0o600, group, `0600 ${group}`],
    [0o604, group, `0600 ${group}`],
    // Open to everybody by a umask, and given to nobody.
    [0o644, 0, '0600 0'],
  ] as const) {
    it(`in place of one that is ${octal(mode)} ${gid} are ${want}`, async () => {
      for (const made of [folder(0o700, 0), folder(0o2750, 4343)]) {
        for (const name of ['pkctl.yaml', 'laptop']) fileIn(made, name, mode, gid)
        assert.deepEqual(await importInto(made, '--force'), [want, want])
      }
    })
  }

  it('in place of a link have nothing from where it leads, and that file stays as it is', async () => {
    const made = folder(0o700, 0)
    const elsewhere = fileIn(folder(0o700, 0), 'elsewhere', 0o644, group)
    fs.symlinkSync(elsewhere, path.join(made, 'pkctl.yaml'))
    assert.deepEqual(await importInto(made, '--force'), ['0600 0', '0600 0'])
    assert.equal(fs.readFileSync(elsewhere, 'utf8'), 'old')
    assert.equal(accessOf(elsewhere), `0644 ${group}`)
  })
})

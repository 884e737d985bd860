/** What another user has put in the place of a file that root reads: root neither waits, nor reads without end. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const loader = fileURLToPath(new URL('../../../src/config/load.js', import.meta.url))
const other = 65_534
/** Ends a process that would wait for ever; a busy machine may take long to start one. */
const guardMilliseconds = 300_000

function makeLong(file: string): void {
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 2 ** 40)
}

describe('a planted file', { skip: process.geteuid?.() !== 0 && 'needs root' }, () => {
  let top: string
  let planted: string
  beforeEach(() => {
    top = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-planted-'))
    planted = path.join(top, 'of-user')
    fs.mkdirSync(planted)
    fs.writeFileSync(path.join(top, 'list'), ' 1,2,3\n')
  })
  afterEach(() => fs.rmSync(top, { recursive: true }))

  /** What loading says, in a process of its own, because it may wait. */
  function load(text: string, folder = top): string {
    const file = path.join(folder, 'pkctl.yaml')
    fs.writeFileSync(file, text)
    const script = `import { loadConfig } from ${JSON.stringify(loader)}; loadConfig(${JSON.stringify(file)})`
    const { status, stderr, error } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: guardMilliseconds,
      killSignal: 'SIGKILL',
    })
    assert.equal(error, undefined, 'it ends by itself')
    return status === 0 ? 'loaded' : stderr
  }
  const once = (file: string) =>
    `services: {s: {port: 1}}\ncredentials: {c: {type: one-time, sequences-file: ${file}, opens: [s]}}\n`
  const place = () => path.join(planted, 'list')
  const plants: readonly [string, () => void, RegExp][] = [
    ['a pipe', () => spawnSync('mkfifo', [place()]), /of-user\/list is not a regular file/],
    ['a link to a device without end', () => fs.symlinkSync('/dev/zero', place()), /ELOOP/],
    ['a link to another file', () => fs.symlinkSync(path.join(top, 'list'), place()), /ELOOP/],
    ['another name of a file', () => fs.linkSync(path.join(top, 'list'), place()), /or has another name/],
    ['a file without end', () => makeLong(place()), /is larger than 16 MiB/],
  ]
  for (const [what, plant, said] of plants) {
    it(`is no file of sequences: ${what}`, () => {
      plant()
      fs.chownSync(planted, other, other)
      assert.match(load(once(place())), said)
    })
  }

  it('is no file of sequences: a file behind a link in the place of a directory', () => {
    fs.symlinkSync(top, path.join(planted, 'below'))
    fs.chownSync(planted, other, other)
    assert.match(load(once(path.join(planted, 'below/list'))), /below is a symbolic link/)
    fs.chownSync(planted, 0, 0)
    assert.equal(load(once(path.join(planted, 'below/list'))), 'loaded')
  })

  for (const [where, parent] of [
    ['among temporary files', os.tmpdir()],
    ['in memory, below /dev', '/dev/shm'],
  ] as const) {
    it(`is no configuration: a pipe ${where}`, () => {
      const folder = fs.mkdtempSync(path.join(parent, 'pkctl-planted-'))
      try {
        fs.mkdirSync(path.join(folder, 'conf.d'))
        spawnSync('mkfifo', [path.join(folder, 'conf.d/a.yaml')])
        assert.match(load('services: {}\n', folder), /a\.yaml:1:1: cannot be read: it is not a regular file/)
      } finally {
        fs.rmSync(folder, { recursive: true })
      }
    })
  }
})

/** scripts/run-tests.js with files of tests that fail, hang, or leave something behind. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { root, run } from '../../support/commands.js'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-fixtures-'))
after(() => fs.rmSync(folder, { recursive: true }))

const head = `
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { after, before, beforeEach, describe, it } from 'node:test'
const begin = () => {
  const child = spawn('sleep', ['600'], { stdio: ['ignore', 'pipe', 'pipe'] })
  writeFileSync('PIDFILE', String(child.pid))
}
`

let number = 0

/** Runs these files alone; `began` is the process that a file began, if it lives on. */
async function runs(files: Readonly<Record<string, string>>, ...options: string[]) {
  return runsWith({ PKCTL_TEST_SECOND_TRY: undefined }, files, ...options)
}

async function runsWith(env: NodeJS.ProcessEnv, files: Readonly<Record<string, string>>, ...options: string[]) {
  const own = path.join(folder, String(++number))
  fs.mkdirSync(own)
  const pidFile = path.join(own, 'pid')
  for (const [name, text] of Object.entries(files)) {
    fs.writeFileSync(path.join(own, `${name}.test.mjs`), head.replace('PIDFILE', pidFile) + text)
  }
  const argv = [path.join(root, 'scripts/run-tests.js'), `--folder=${own}`, ...options]
  const { status, stdout, stderr } = await run([process.execPath, ...argv], { env })
  const began = fs.existsSync(pidFile) ? fs.readFileSync(pidFile, 'utf8') : ''
  return { status, lines: stdout.trimEnd().split('\n'), all: stdout + stderr, isLeft: isAlive(began) }
}

function isAlive(pid: string): boolean {
  try {
    return pid !== '' && !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

describe('run-tests.js', () => {
  it('counts what passes, fails and is skipped', async () => {
    const { status, lines, all } = await runs({
      good: "describe('all', () => { it('one', () => {}); it('two', { skip: 'why' }, () => {}) })",
      bad: "it('three', () => { throw new Error('no such thing') })",
    })
    assert.deepEqual(
      lines.slice(-2),
      ['failed: bad.test.mjs: three: no such thing', '1 passed, 1 failed, 1 skipped'],
      all,
    )
    assert.equal(status, 1)
  })

  it('runs a file that failed once more if it is told to, counts that result, and names both', async () => {
    const passesLater = `it('one', () => {
      const mark = new URL('mark', import.meta.url)
      try {
        writeFileSync(mark, '', { flag: 'wx' })
      } catch {
        return
      }
      throw new Error('too early')
    })`
    const files = { later: passesLater, never: "it('two', () => { throw new Error('no such thing') })" }
    const { status, lines } = await runsWith({ PKCTL_TEST_SECOND_TRY: '1' }, files)
    // Which of the two is done first is left to chance.
    assert.deepEqual(lines.slice(-6, -2).sort(), [
      'at first failed: later.test.mjs: one: too early',
      'at first failed: never.test.mjs: two: no such thing',
      'failed at first and was tried again: later.test.mjs',
      'failed at first and was tried again: never.test.mjs',
    ])
    assert.deepEqual(lines.slice(-2), ['failed: never.test.mjs: two: no such thing', '1 passed, 1 failed'])
    assert.equal(status, 1)
  })

  it('runs a script of package.json beside the files, which counts only if it fails', async () => {
    const files = { a: "it('one', () => {})" }
    const missing = await runs(files, '--beside=no-such-script')
    assert.deepEqual(missing.lines.slice(-2), ['failed: npm run no-such-script', '1 passed, 1 failed'])
    assert.equal(missing.status, 1)
    const good = await runs(files, '--beside=env')
    assert.deepEqual([good.lines.at(-1), good.status], ['1 passed, 0 failed', 0])
  })

  it('refuses a word that no file has in its name, instead of running the others alone', async () => {
    const { status, all } = await runs({ good: "it('one', () => {})" }, 'good', 'renamed')
    assert.match(all, /no test file has "renamed" in its name/)
    assert.doesNotMatch(all, /passed/)
    assert.equal(status, 1)
  })

  it('ends what a hook began that failed, and says why it did', async () => {
    const { status, lines, all, isLeft } = await runs(
      {
        a: "describe('all', () => { before(() => { begin(); throw new Error('no site') }); it('one', () => {}) })",
        b: "it('goes on', () => {})",
      },
      '--patience=1',
    )
    assert.match(all, /failed: a\.test\.mjs: .*no site/)
    assert.match(all, /failed: a\.test\.mjs: it did not end after its last test/)
    assert.match(lines.at(-1) ?? '', /^1 passed, \d failed$/)
    assert.equal(status, 1)
    assert.equal(isLeft, false)
  })

  it('ends a file whose hook does not end', async () => {
    const { lines, all, isLeft } = await runs(
      { a: "describe('all', () => { before(() => { begin(); return new Promise(() => {}) }); it('one', () => {}) })" },
      '--limit=2',
    )
    assert.match(all, /failed: a\.test\.mjs: it took longer than 2 s, at all/)
    assert.equal(lines.at(-1), '0 passed, 1 failed')
    assert.equal(isLeft, false)
  })

  it('gives a file the time that it declares', async () => {
    const text = "// Time limit: 1 minutes\nit('takes long', () => new Promise(done => setTimeout(done, 2500)))"
    const { lines, all } = await runs({ a: text }, '--limit=1')
    assert.equal(lines.at(-1), '1 passed, 0 failed', all)
  })

  it('counts a file that cannot be loaded, and one that ends itself', async () => {
    const { lines, all } = await runs({ a: 'import "./nowhere.js"', b: 'process.exit(3)', c: "it('one', () => {})" })
    assert.match(all, /failed: a\.test\.mjs: it ended with 1/)
    assert.match(all, /failed: b\.test\.mjs: it ended with 3/)
    assert.equal(lines.at(-1), '1 passed, 2 failed')
  })

  const noRoot = process.getuid?.() === 0 ? false : 'making a network namespace needs root'
  it('removes the network namespaces of a file', { skip: noRoot }, async () => {
    const { all } = await runs(
      {
        a: `it('one', async () => {
          spawnSync('ip', ['netns', 'add', 'pk' + process.pid + '-1-s'])
          console.log('made ' + process.pid)
          await new Promise(() => setInterval(() => {}, 1000))
        })`,
      },
      '--limit=2',
    )
    const [, pid] = /made (\d+)/.exec(all) ?? []
    assert.ok(pid, all)
    assert.equal(fs.existsSync(`/run/netns/pk${pid}-1-s`), false)
  })
})

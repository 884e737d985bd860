import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { execute, killPrograms, TimeLimitError } from '../../../src/util/child-process.js'
import { until } from '../../support/commands.js'

describe('execute', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-child-process-'))
  const pidFile = path.join(directory, 'pid')
  after(() => fs.rmSync(directory, { recursive: true }))

  /** A shell that waits for a child, which writes its process ID. */
  const hanging = ['-c', `sh -c 'echo $$ >"$0"; exec sleep 60' ${pidFile} & wait`]
  const isAlive = (pid: number) =>
    fs.existsSync(`/proc/${pid}/stat`) && !fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z')
  const childOf = async () => {
    await until(() => Promise.resolve(fs.existsSync(pidFile) && fs.readFileSync(pidFile, 'utf8').endsWith('\n')))
    const pid = Number(fs.readFileSync(pidFile, 'utf8'))
    fs.rmSync(pidFile)
    return pid
  }

  /** Sends a signal to a process while a program of it runs, and says how the process ended, and whether that program did. */
  async function endBy(signal: NodeJS.Signals, listener = '') {
    const module = JSON.stringify(new URL('../../../src/util/child-process.js', import.meta.url).href)
    const program = `import { execute } from ${module}
      ${listener}
      execute('/bin/sh', ${JSON.stringify(hanging)}).catch(() => undefined)
      setTimeout(() => process.exit(3), 20_000)`
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
    const ended = new Promise(resolve => parent.once('exit', (...how) => resolve(how)))
    const child = await childOf()
    parent.kill(signal)
    const how = await ended
    await until(() => Promise.resolve(!isAlive(child)), 2000)
    return how
  }

  it('gives what a program printed, and its exit status', async () => {
    const script = 'read line; echo "got $line"; echo trouble >&2; exit 3'
    assert.deepEqual(await execute('/bin/sh', ['-c', script], 'input\n'), {
      status: 3,
      stdout: 'got input\n',
      stderr: 'trouble\n',
    })
  })

  it('rejects with the error of the system when there is no such program', async () => {
    await assert.rejects(execute('/no/such/program', []), { code: 'ENOENT' })
  })

  it('kills a program that does not end in time, with what it has started', async () => {
    const running = execute('/bin/sh', hanging, '', { milliseconds: 300 })
    running.catch(() => undefined)
    const child = await childOf()
    assert.equal(isAlive(child), true)
    await assert.rejects(running, (error: unknown) => {
      assert.ok(error instanceof TimeLimitError)
      assert.equal(error.message, '/bin/sh did not end within 0.3 s and was killed')
      return true
    })
    await until(() => Promise.resolve(!isAlive(child)))
  })

  it('does not wait for a process that has left the group and holds the output open', async () => {
    const began = performance.now()
    await assert.rejects(execute('/bin/sh', ['-c', 'setsid sleep 5'], '', { milliseconds: 200 }), TimeLimitError)
    assert.ok(performance.now() - began < 4000)
  })

  it('kills a program when its result is not wanted any more', async () => {
    const asker = new AbortController()
    const running = execute('/bin/sh', hanging, '', { signal: asker.signal })
    running.catch(() => undefined)
    const child = await childOf()
    asker.abort()
    await assert.rejects(running, /is not wanted any more/)
    await until(() => Promise.resolve(!isAlive(child)))
  })

  it('kills all programs at once, and says which', async () => {
    const all = [execute('/bin/sh', hanging), execute('sleep', ['60'])]
    for (const one of all) one.catch(() => undefined)
    const child = await childOf()
    const lines = killPrograms()
    assert.equal(lines.length, 2)
    assert.match(lines.join('\n'), /^\/bin\/sh -c .*\nsleep 60$/)
    for (const one of all) await assert.rejects(one)
    await until(() => Promise.resolve(!isAlive(child)))
  })

  it('leaves none behind when the process ends', async () => {
    const module = JSON.stringify(new URL('../../../src/util/child-process.js', import.meta.url).href)
    const program = `import { execute } from ${module}
      execute('/bin/sh', ${JSON.stringify(hanging)}).catch(() => undefined)
      setTimeout(() => process.exit(), 500)`
    assert.equal((await execute(process.execPath, ['--input-type=module', '-e', program])).status, 0)
    const child = await childOf()
    await until(() => Promise.resolve(!isAlive(child)), 2000)
  })

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`leaves none behind when ${signal} ends the process`, async () => {
      assert.deepEqual(await endBy(signal), [null, signal])
    })
  }

  it('leaves the end to what else listens for the signal', async () => {
    assert.deepEqual(await endBy('SIGTERM', "process.once('SIGTERM', () => setTimeout(() => process.exit(5), 100))"), [
      5,
      null,
    ])
  })
})

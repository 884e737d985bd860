import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import * as path from 'node:path'
import type { Writable } from 'node:stream'
import { describe, it, mock } from 'node:test'
import { LogPipe } from '../../../src/daemon/log-pipe.js'
import { LogProgram } from '../../../src/daemon/log-program.js'
import { LogFile } from '../../../src/daemon/log-sinks.js'
import { UserError } from '../../../src/util/user-error.js'
import { sleep, until } from '../../support/commands.js'
import { logSetUp } from './log-support.js'

describe('where the log goes', () => {
  const setUp = logSetUp()

  const file = () => path.join(setUp.directory, 'log')
  const read = () => (fs.existsSync(file()) ? fs.readFileSync(file(), 'utf8') : '')
  const write = (sink: Writable, line: string) => new Promise<unknown>(done => sink.write(`${line}\n`, done))

  it('a file that cannot be opened is an error at once', () => {
    assert.throws(
      () => new LogFile(setUp.directory),
      (error: unknown) => error instanceof UserError && error.message.includes('EISDIR'),
    )
  })

  it('a FIFO keeps nobody waiting, whether it has a reader that does not read or none', async () => {
    execFileSync('mkfifo', [file()])
    assert.throws(() => new LogFile(file()), /the log .* cannot be opened: ENXIO/)
    const reader = fs.openSync(file(), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    const sink = new LogFile(file())
    for (let i = 0; i < 100; i++) await write(sink, 'x'.repeat(4000))
    assert.match(setUp.said, /the log .* cannot be written: EAGAIN/)
    sink.end()
    fs.closeSync(reader)
  })

  it('lines are added to a file, also after another program has cut it off', async () => {
    fs.writeFileSync(file(), 'before\n')
    const sink = new LogFile(file())
    await write(sink, 'a')
    assert.equal(read(), 'before\na\n')
    fs.truncateSync(file())
    await write(sink, 'b')
    assert.equal(read(), 'b\n')
    sink.end()
    assert.equal(setUp.said, '')
  })

  for (const [what, replace] of [
    ['renamed, and another one is made', () => fs.writeFileSync(file(), '')],
    ['renamed or removed', () => undefined],
  ] as const) {
    it(`lines go on in a file of that name, when the file is ${what}`, async () => {
      const sink = new LogFile(file(), 1000)
      await write(sink, 'a')
      fs.renameSync(file(), `${file()}.1`)
      replace()
      await until(async () => {
        await write(sink, 'b')
        return read().endsWith('b\n')
      })
      assert.match(fs.readFileSync(`${file()}.1`, 'utf8'), /^a\n(b\n)*$/)
      assert.equal(
        setUp.said,
        `pkctld: the log ${file()} was renamed or removed, and pkctld goes on in another file of that name\n`,
      )
      await write(sink, 'c')
      assert.match(read(), /b\nc\n$/)
      sink.end()
    })
  }

  it('leaves it to another program to make a file that is missing for a moment', async () => {
    const sink = new LogFile(file())
    await write(sink, 'a')
    fs.renameSync(file(), `${file()}.1`)
    const end = performance.now() + 2500
    while (performance.now() < end) await write(sink, 'b')
    assert.equal(fs.existsSync(file()), false)
    sink.end()
  })

  it('a full disk is told once, and takes no line but those that come meanwhile', async () => {
    const sink = new LogFile(file())
    await write(sink, 'a')
    const real = fs.writeSync
    const full = mock.method(fs, 'writeSync', (descriptor: number, rest: Buffer, from: number) => {
      if (from > 0 || rest.length < 3) throw new Error('ENOSPC: no space left on device')
      return real(descriptor, rest, 0, 2)
    })
    syncBuiltinESMExports()
    await write(sink, 'lost')
    await write(sink, 'lost, too')
    full.mock.restore()
    syncBuiltinESMExports()
    await write(sink, 'b')
    assert.equal(read(), 'a\nlo\nl\nb\n')
    assert.equal(setUp.said, `pkctld: the log ${file()} cannot be written: ENOSPC: no space left on device\n`)
    sink.end()
  })

  it('a program that ends is started again, and what was written meanwhile is lost', async () => {
    const script = 'while read -r line; do echo "$line" >>"$1"; [ "$line" != a ] || exit 0; done'
    const sink = new LogProgram(['/bin/sh', '-c', script, 'sh', file()])
    await write(sink, 'a')
    await until(() => setUp.said.includes('started again'))
    await write(sink, 'lost')
    await sleep(1100)
    await write(sink, 'b')
    const dropped = 'pkctld: dropped 1 log line, because no process read them in time\n'
    await until(() => read() === `a\n${dropped}b\n`)
    assert.equal(sink.lostLines, 1)
    assert.equal(setUp.said, 'pkctld: the log cannot be written by /bin/sh, and it is started again: exit status 0\n')
    sink.end()
  })

  it('a program that does not read is killed and started again, and the lines that it lost are counted', async () => {
    const script = 'echo $$ >>"$2"; if mkdir "$3" 2>&-; then exec sleep 1000; fi; exec cat >>"$1"'
    const [pids, first] = ['pids', 'first'].map(name => path.join(setUp.directory, name)) as [string, string]
    const sink = new LogProgram(['/bin/sh', '-c', script, 'sh', file(), pids, first], 100)
    await until(() => fs.existsSync(first))
    const line = 'x'.repeat(100_000)
    for (let i = 0; i < 9; i++) await write(sink, line)
    await until(() => setUp.said.includes('did not read for 0.1 s and was killed'))
    assert.match(
      setUp.said,
      /^pkctld: the log cannot be written by \/bin\/sh, and it is started again: .*; \d lines? lost so far\n$/,
    )
    const { lostLines } = sink
    assert.ok(lostLines > 0)
    const [pid = ''] = fs.readFileSync(pids, 'utf8').split('\n')
    await until(() => !fs.existsSync(`/proc/${pid}/cwd`))
    await until(async () => {
      await write(sink, 'last')
      return fs.readFileSync(pids, 'utf8').split('\n').length === 3
    })
    await until(() => read().endsWith('last\n'))
    assert.match(read(), /^pkctld: dropped \d+ log lines?, because no process read them in time\n(last\n)+$/)
    assert.ok(sink.lostLines >= lostLines)
    sink.end()
  })

  it('a program that closes its input and lives on is started again, and the lines that it lost are counted', async () => {
    const script = 'if mkdir "$2" 2>&-; then exec <&-; touch "$2/closed"; exec sleep 1000; fi; exec cat >>"$1"'
    const first = path.join(setUp.directory, 'first')
    const sink = new LogProgram(['/bin/sh', '-c', script, 'sh', file(), first])
    await until(() => fs.existsSync(path.join(first, 'closed')))
    await write(sink, 'lost')
    await write(sink, 'lost, too')
    await until(() => setUp.said.includes('it takes no lines any more and was killed: write EPIPE'), 10_000)
    assert.equal(sink.lostLines, 2)
    await until(async () => {
      await write(sink, 'last')
      return read().endsWith('last\n')
    })
    sink.end()
  })

  it('a program that there is not keeps nobody waiting', async () => {
    const sink = new LogProgram(['/nowhere/logger'])
    await write(sink, 'a')
    await until(() => setUp.said.includes('ENOENT'))
    await write(sink, 'b')
    sink.end()
  })
})

describe('a pipe that no process reads', () => {
  it('takes a megabyte of lines, and then drops them and says how many', () => {
    const taken: string[] = []
    const pipe = { writableLength: 0, write: (line: string) => void taken.push(line) }
    const log = new LogPipe()
    const write = (line: string) => log.write(pipe as unknown as Writable, line)
    write('first\n')
    pipe.writableLength = 1_000_001
    for (let i = 0; i < 3; i++) write('lost\n')
    pipe.writableLength = 500
    write('taken, behind what waits\n')
    pipe.writableLength = 0
    write('last\n')
    const dropped = 'pkctld: dropped 3 log lines, because no process read them in time\n'
    assert.deepEqual(taken, ['first\n', 'taken, behind what waits\n', dropped, 'last\n'])
  })

  it('says what it dropped as a warning, in the way of its reader', () => {
    const taken: string[] = []
    const pipe = { writableLength: 0, write: (line: string) => void taken.push(line) }
    const log = new LogPipe(line => `<4>${line}`)
    log.lose(1)
    log.write(pipe as unknown as Writable, '<6>next\n')
    const dropped = '<4>pkctld: dropped 1 log line, because no process read them in time\n'
    assert.deepEqual(taken, [dropped, '<6>next\n'])
  })

  it('that fails loses the line, which is counted once', () => {
    const failures: ((error: Error) => void)[] = []
    const pipe = { writableLength: 0, write: (_: string, done: (error: Error) => void) => void failures.push(done) }
    const log = new LogPipe()
    for (let i = 0; i < 3; i++) log.write(pipe as unknown as Writable, 'lost\n')
    failures[0]?.(new Error('EPIPE'))
    assert.equal(log.lostLines, 1)
    log.abandon()
    for (const fail of failures.slice(1)) fail(new Error('EPIPE'))
    assert.equal(log.lostLines, 3)
    assert.equal(log.taken, 0)
  })
})

/**
 * The integration tests in user-mode Linux, whose kernel has nft's `queue` statement: npm run test:native.
 *
 * Some instances of the kernel run on each processor, pinned to it. They share a folder, build/native: an instance takes
 * the next file of tests from `queue` by moving it to `taken`, and leaves the report in `logs`. An instance that ends or
 * hangs fails the file that it was at, and another one goes on with the rest.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { must, root, sleep } from '../support/commands.js'
import { processors } from '../support/processors.js'
import { copyProject, suite } from '../support/suite.js'

const share = path.join(root, 'build/native')
const inShare = (...names: string[]) => path.join(share, ...names)
/** run-tests.js ends a file that takes too long; only an instance that hangs as a whole takes longer than this. */
const fileSeconds = 780
/** Tests wait longer than they compute. */
const instancesPerProcessor = Number(process.env['PKCTL_NATIVE_INSTANCES'] ?? 3)
/** Of run-tests.js, which the instances run. */
const secondTry = process.env['PKCTL_TEST_SECOND_TRY']
/** So many instances may end before their time until the rest counts as failed. */
const patience = 4

/** The processor of each instance, where so many files are to be run. */
const lanes = (files: number): number[] =>
  Array.from({ length: instancesPerProcessor }, () => processors())
    .flat()
    .slice(0, files)

/** One run of the kernel, with all processes in it, which are processes of this machine. */
class Instance {
  readonly console: string
  readonly #child: ChildProcess
  ended = false

  constructor(
    readonly name: string,
    readonly processor: number,
    kernel: string,
    { folder, megabytes }: Memory,
  ) {
    this.console = inShare(`console.${name}`)
    const output = fs.openSync(this.console, 'w')
    this.#child = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', 'taskset', '-c', String(processor), kernel],
        ...[`mem=${megabytes}M`, 'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro', 'quiet'],
        ...[`init=${path.join(root, 'test/native/init')}`, 'con=null', 'con0=null,fd:1', 'con1=null', 'seccomp=on'],
        ...[`uml_dir=${folder}`, `umid=${name}`, `PKCTL_SHARE=${share}`, `PKCTL_INSTANCE=${name}`],
        // A process that forks while a ring of io_uring is mapped, as Node.js 24 does, makes this kernel panic.
        'sysctl.kernel.io_uring_disabled=2',
        ...(secondTry === undefined ? [] : [`PKCTL_TEST_SECOND_TRY=${secondTry}`]),
      ],
      // A process group of its own, so that all of it can be ended at once.
      { detached: true, stdio: ['ignore', output, output], env: { ...process.env, TMPDIR: folder } },
    )
    fs.closeSync(output)
    for (const event of ['exit', 'error'] as const) this.#child.once(event, () => (this.ended = true))
  }

  end(): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // All of it has ended.
    }
  }

  lastLines(): string {
    return fs.readFileSync(this.console, 'utf8').trimEnd().split('\n').slice(-15).join('\n')
  }
}

/** For the memory of the instances, which is a file of this machine each, without a name. */
interface Memory {
  readonly folder: string
  readonly megabytes: number
}

function memoryFor(instances: number): Memory {
  const available = Number(/^MemAvailable:\s*(\d+)/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024
  const megabytes = Math.floor(Math.min(4096, (available * 0.8) / instances))
  if (megabytes < 1024) throw new Error(`each instance needs 1 GB of memory, and there are ${megabytes} MB for each`)
  const { bavail, bsize } = fs.statfsSync('/dev/shm')
  const base = (bavail * bsize) / 2 ** 20 > megabytes * instances ? '/dev/shm' : os.tmpdir()
  return { folder: fs.mkdtempSync(path.join(base, 'pkctl-native-')), megabytes }
}

/** What became of one file: the report, without its last line, and the counts of that line. */
interface Report {
  readonly text: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const sums = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\n?$/m

function reportOf(text: string): Report | undefined {
  const [line, passed, failed, skipped = 0] = sums.exec(text) ?? []
  if (line === undefined) return undefined
  return { text: text.replace(line, ''), passed: Number(passed), failed: Number(failed), skipped: Number(skipped) }
}

class Run {
  readonly #reports = new Map<string, Report>()
  readonly #instances = new Set<Instance>()
  #started = 0

  constructor(
    readonly entries: readonly string[],
    readonly kernel: string,
    readonly memory: Memory,
  ) {}

  async toTheEnd(): Promise<void> {
    const cores = lanes(this.entries.length)
    for (const core of cores) this.#start(core)
    while (this.#instances.size > 0) {
      await sleep(200)
      for (const instance of this.#instances) this.#look(instance, cores.length)
      for (const entry of this.entries) this.#collect(entry)
    }
    for (const entry of this.entries) if (!this.#reports.has(entry)) this.#fail(entry, 'it was never begun')
  }

  end(): void {
    for (const instance of this.#instances) instance.end()
  }

  #start(core: number): void {
    this.#instances.add(new Instance(String(++this.#started), core, this.kernel, this.memory))
  }

  #look(instance: Instance, cores: number): void {
    // Where another name stands, an instance is between two files, or done.
    const entry = this.entries.find(one => fs.existsSync(inShare('taken', `${one}.${instance.name}`)) && !isDone(one))
    const late = entry !== undefined && secondsSince(inShare('taken', `${entry}.${instance.name}`)) > fileSeconds
    if (late) instance.end()
    if (!instance.ended && !late) return
    this.#instances.delete(instance)
    instance.end()
    if (entry !== undefined) {
      const why = late ? `the instance did not end it in ${fileSeconds} s` : 'the instance ended'
      this.#fail(entry, `${why}; its console:\n${instance.lastLines()}`)
    } else if (fs.readdirSync(inShare('queue')).length > 0) {
      console.log(`native: instance ${instance.name} ended before its time; its console:\n${instance.lastLines()}`)
    }
    if (fs.readdirSync(inShare('queue')).length > 0 && this.#started < cores + patience) this.#start(instance.processor)
  }

  #collect(entry: string): void {
    if (this.#reports.has(entry) || !isDone(entry)) return
    const text = fs.readFileSync(inShare('logs', entry), 'utf8')
    const report = reportOf(text)
    if (!report) return this.#fail(entry, `the report has no sum:\n${text.slice(-2000)}`)
    this.#reports.set(entry, report)
    process.stdout.write(report.text)
  }

  #fail(entry: string, why: string): void {
    const text = `failed: integration/${nameOf(entry)}: ${why}\n`
    this.#reports.set(entry, { text, passed: 0, failed: 1, skipped: 0 })
    process.stdout.write(text)
  }

  /** What failed, in a line each, and the sum. */
  summary(): { line: string; failures: string[]; good: boolean } {
    const reports = [...this.#reports.values()]
    const total = (what: 'passed' | 'failed' | 'skipped') => reports.reduce((sum, report) => sum + report[what], 0)
    const skipped = total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''
    return {
      line: `${total('passed')} passed, ${total('failed')} failed${skipped}`,
      failures: reports.flatMap(({ text }) => text.match(/^(at first )?failed(:| at first).*$/gm) ?? []),
      good: total('failed') === 0 && total('passed') > 0,
    }
  }
}

const isDone = (entry: string) => fs.existsSync(inShare('logs', entry))
const nameOf = (entry: string) => entry.replace(/^\d+-/, '')
const secondsSince = (file: string) => (Date.now() - fs.statSync(file).ctimeMs) / 1000

async function prepare(names: readonly string[]): Promise<string[]> {
  fs.rmSync(share, { recursive: true, force: true })
  for (const folder of ['queue', 'taken', 'logs']) fs.mkdirSync(inShare(folder), { recursive: true })
  await copyProject(inShare('project'))
  await must(['tar', '-C', inShare('project'), '-cf', inShare('project.tar'), '.'])
  fs.rmSync(inShare('project'), { recursive: true })
  return names.map((name, i) => {
    const entry = `${String(i).padStart(3, '0')}-${name}`
    fs.writeFileSync(inShare('queue', entry), '')
    return entry
  })
}

/** How long each file took, the longest first. */
function times(entries: readonly string[]): string {
  const lines = entries.flatMap(entry => {
    const taken = fs.readdirSync(inShare('taken')).find(name => name.startsWith(`${entry}.`))
    if (taken === undefined || !isDone(entry)) return []
    const milliseconds = fs.statSync(inShare('logs', entry)).mtimeMs - fs.statSync(inShare('taken', taken)).ctimeMs
    return [[Math.round(milliseconds / 1000), nameOf(entry)] as const]
  })
  return lines
    .sort(([a], [b]) => b - a)
    .map(([seconds, name]) => `${seconds} s ${name}\n`)
    .join('')
}

const [kernel = '', ...words] = process.argv.slice(2)
const names = suite(words)
if (names.length === 0) {
  console.log(`native: no test that depends on the kernel has ${words.join(' or ')} in its name`)
  console.log('0 passed, 1 failed')
  process.exit(1)
}
const began = Date.now()
const entries = await prepare(names)
const memory = memoryFor(lanes(entries.length).length)
const all = new Run(entries, kernel, memory)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    all.end()
    fs.rmSync(memory.folder, { recursive: true, force: true })
    process.exit(1)
  })
}
try {
  await all.toTheEnd()
} finally {
  all.end()
  fs.rmSync(memory.folder, { recursive: true, force: true })
}
fs.writeFileSync(inShare('times'), times(entries))
const { line, failures, good } = all.summary()
for (const failure of failures) console.log(failure)
console.log(`native: ${entries.length} files in ${Math.round((Date.now() - began) / 1000)} s; see build/native`)
console.log(line)
process.exitCode = good ? 0 : 1

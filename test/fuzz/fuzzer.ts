/** Runs targets in a worker, and ends it when an input hangs. */
import { Worker } from 'node:worker_threads'
import { setTimeout as sleep } from 'node:timers/promises'
import { targets } from './targets/index.js'
import type { Finding, Job, Report } from './worker.js'
import { inputOf } from './worker.js'

/** Without the next input for so long, the input hangs; on a busy machine a thread may wait for its turn. */
const hangMilliseconds = 20_000
const heapMegabytes = 512

interface Outcome {
  readonly findings: readonly Finding[]
  /** For each target that came to its end. */
  readonly done: ReadonlyMap<string, { readonly runs: number; readonly seconds: number }>
}

export async function runFuzzer(
  options: Omit<Job, 'place'>,
  onReport: (report: Report) => void = () => undefined,
): Promise<Outcome> {
  const findings: Finding[] = []
  const done = new Map<string, { runs: number; seconds: number }>()
  let names = options.names
  while (names.length > 0) {
    const stopped = await runWorker({ ...options, names, place: places() }, report => {
      if ('finding' in report) findings.push(report.finding)
      else done.set(report.done, report)
      onReport(report)
    })
    if (stopped === undefined) break
    findings.push(stopped)
    onReport({ finding: stopped })
    names = names.slice(names.indexOf(stopped.target) + 1)
  }
  return { findings, done }
}

const places = () => new Int32Array(new SharedArrayBuffer(12))

/** Resolves to the input at which the worker hung or ran out of memory; undefined if it came to its end. */
async function runWorker(job: Job, onReport: (report: Report) => void): Promise<Finding | undefined> {
  const worker = new Worker(new URL('worker.js', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  })
  const state: { why?: string; ended: boolean } = { ended: false }
  worker.on('message', onReport)
  worker.on('error', error => (state.why = `the thread ended: ${error.message}`))
  const exited = new Promise<void>(resolve => {
    worker.on('exit', () => {
      state.ended = true
      resolve()
    })
  })
  let [taken, since] = [-1, Date.now()]
  while (!state.ended) {
    await Promise.race([exited, sleep(200)])
    const now = Atomics.load(job.place, 2)
    if (now !== taken) [taken, since] = [now, Date.now()]
    else if (Date.now() - since > hangMilliseconds) {
      state.why ??= `it does not come to an end within ${hangMilliseconds / 1000} s`
      await worker.terminate()
    }
  }
  const { why } = state
  if (why === undefined) return undefined
  const target = job.names[Atomics.load(job.place, 0)] as string
  const seed = Atomics.load(job.place, 1) >>> 0
  const found = targets.find(({ name }) => name === target)
  return { target, seed, what: why, input: found ? inputOf(found)(seed) : new Uint8Array() }
}

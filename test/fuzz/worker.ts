/**
 * Runs targets in a thread of its own: fuzzer.ts ends it when an input hangs, and its memory is limited. Shared numbers say
 * where it is: the target, the seed of the input, and how many inputs it has taken.
 */
import { performance } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'
import { corpusOf } from './corpus.js'
import { makeInput } from './mutate.js'
import { prototypesAreClean } from './properties.js'
import { Random } from './random.js'
import type { Target } from './target.js'
import { targets } from './targets/index.js'

export interface Job {
  /** Names of targets. */
  readonly names: readonly string[]
  /** Of the first input; each further one has the next. */
  readonly seed: number
  /** Inputs for each target; null for what the target says. */
  readonly runs: number | null
  /** For each target; then `runs` does not count. */
  readonly seconds: number | null
  readonly place: Int32Array
}

/** What an input did that no input may do. */
export interface Finding {
  readonly target: string
  /** Makes the input again; null for one of the corpus. */
  readonly seed: number | null
  readonly kept?: string
  readonly what: string
  readonly input: Uint8Array
}

export type Report =
  { readonly finding: Finding } | { readonly done: string; readonly runs: number; readonly seconds: number }

/** Processor time that one input may take; most take less than a millisecond. */
const slowMilliseconds = 3000
/** Memory outside of the heap, whose limit the thread has from fuzzer.ts. */
const maxExternalBytes = 512 * 1024 * 1024
const defaultRuns = 1000
/** After these the target has had its say. */
const maxFindings = 5

export const inputOf = ({ name, seeds, words = [] }: Target): ((seed: number) => Buffer) => {
  const pool = [...seeds.map(seed => Buffer.from(seed as string)), ...corpusOf(name).values()]
  return seed => makeInput(new Random(seed), { pool, words })
}

async function fuzz(target: Target, { seed: first, runs, seconds, place }: Job): Promise<void> {
  const found = new Set<string>()
  const say = (report: Report) => parentPort?.postMessage(report)
  const attempt = async (input: Buffer, seed: number | null, kept?: string) => {
    const what = await fault(target, input)
    if (what === undefined) return
    const places = what.split('\n').filter(line => line.startsWith('    at '))
    const kind = [what.slice(0, 60).replace(/\d+/g, ''), ...places].join('\n')
    if (found.has(kind)) return
    found.add(kind)
    say({ finding: { target: target.name, seed, ...(kept === undefined ? {} : { kept }), what, input } })
  }
  const start = performance.now()
  for (const [name, input] of corpusOf(target.name)) await attempt(input, null, name)
  const make = inputOf(target)
  const enough = (done: number) =>
    seconds === null ? done >= (runs ?? target.runs ?? defaultRuns) : performance.now() - start >= seconds * 1000
  let done = 0
  for (; !enough(done) && found.size < maxFindings; done++) {
    const seed = (first + done) >>> 0
    Atomics.store(place, 1, seed | 0)
    Atomics.add(place, 2, 1)
    await attempt(make(seed), seed)
  }
  say({ done: target.name, runs: done, seconds: (performance.now() - start) / 1000 })
}

/** What the input did wrong; undefined if nothing. */
async function fault(target: Target, input: Buffer): Promise<string | undefined> {
  const before = process.cpuUsage()
  try {
    const result = target.run(input)
    if (result instanceof Promise) await result
    prototypesAreClean()
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const { user, system } = process.cpuUsage(before)
  const spent = (user + system) / 1000
  if (spent > slowMilliseconds) return `it took ${Math.round(spent)} ms for ${input.length} bytes`
  const { external, arrayBuffers } = process.memoryUsage()
  if (external + arrayBuffers > maxExternalBytes)
    return `${external + arrayBuffers} bytes are in use outside of the heap`
  return undefined
}

if (parentPort) {
  // A warning shows its input on stderr, whatever is in it.
  process.emitWarning = (warning: string | Error) => {
    throw new Error(`a warning of Node: ${String(warning)}`)
  }
  const job = workerData as Job
  for (const [i, name] of job.names.entries()) {
    Atomics.store(job.place, 0, i)
    const target = targets.find(one => one.name === name)
    if (target) await fuzz(target, job)
  }
  // Servers of targets would keep it running.
  process.exit()
}

// Runs one compiled file of tests, for at most its time. What it began is ended with it: its processes, and its network
// namespaces, which carry the number of its process in their names.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { clearInterval, setInterval, setTimeout } from 'node:timers'
import { URL } from 'node:url'

const reporter = new URL('testevents.js', import.meta.url).href
const running = new Set()

/** Ends all files that run: for when the run itself is ended. */
export function endAll() {
  for (const child of running) endGroup(child)
}

/**
 * `limit` is what a file may take, in seconds, unless it declares its own in a comment: "Time limit: 20 minutes".
 * `patience` is how long it may live on after its last test. Both are multiplied by `slowness`.
 */
export async function runFile(file, name, { limit, patience, slowness }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'pkctl-run-'))
  const events = path.join(folder, 'events')
  const declared = /Time limit: (\d+) minutes/.exec(readFileSync(file, 'utf8'))
  const seconds = (declared ? Number(declared[1]) * 60 : limit) * slowness
  try {
    const child = spawn(
      process.execPath,
      [
        ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...[`--test-reporter=${reporter}`, `--test-reporter-destination=${events}`],
        file,
      ],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    )
    running.add(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
    const exited = new Promise(resolve => {
      child.once('exit', (status, signal) => resolve(status ?? signal))
      child.once('error', error => resolve(error.message))
    })
    const outputEnds = new Promise(resolve => child.once('close', resolve))

    let why
    const begin = Date.now()
    let [size, changed] = [0, begin]
    const watch = setInterval(() => {
      const now = Date.now()
      const all = eventsIn(events)
      if (all.length !== size) [size, changed] = [all.length, now]
      if (now - begin > seconds * 1000) why = `it took longer than ${seconds} s, at ${lastBegun(all)}`
      else if (isDone(all) && now - changed > patience * slowness * 1000)
        why = 'it did not end after its last test: something that it began still runs'
      if (why !== undefined) endGroup(child)
    }, 500)
    const status = await exited
    clearInterval(watch)
    running.delete(child)
    // What outlives the file, and holds its output open, is none of the next one's business.
    endGroup(child)
    removeNamespaces(child.pid)
    await Promise.race([outputEnds, new Promise(resolve => setTimeout(resolve, 1000))])
    return { output, ...count(eventsIn(events), name, { why, status }) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function count(events, name, { why, status }) {
  const sum = { passed: 0, failed: 0, skipped: 0, failures: [] }
  const fail = (what, text) => {
    sum.failures.push(`failed: ${name}: ${what === '' ? '' : `${what}: `}${text.replace(/\s+/g, ' ').slice(0, 400)}`)
  }
  for (const event of events) {
    if (event.type === 'pass' && !event.isSuite) event.skipped ? sum.skipped++ : sum.passed++
    if (event.type !== 'fail' || event.failureType === 'subtestsFailed') continue
    // A suite fails by itself when one of its hooks does.
    sum.failed++
    // What did not run for the failure of another one says nothing of its own.
    if (event.failureType !== 'cancelledByParent') fail(event.name, event.why ?? '')
  }
  if (why !== undefined || (status !== 0 && sum.failed === 0)) {
    sum.failed++
    fail('', why ?? `it ended with ${status}`)
  }
  return sum
}

function eventsIn(file) {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  // The last line may be on its way.
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))
}

/** Whether all tests and suites of the file itself have ended. */
function isDone(events) {
  const top = events.filter(({ nesting }) => nesting === 0)
  const ended = top.filter(({ type }) => type === 'pass' || type === 'fail').length
  return ended > 0 && ended === top.filter(({ type }) => type === 'enqueue').length
}

const lastBegun = events =>
  events.filter(({ type }) => type === 'start' || type === 'enqueue').at(-1)?.name ?? 'its start'

function endGroup(child) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // All of it has ended.
  }
}

function removeNamespaces(pid) {
  const own = new RegExp(`^pk[a-z-]*${pid}(-|$)`)
  const names = existsSync('/run/netns') ? readdirSync('/run/netns').filter(name => own.test(name)) : []
  for (const name of names) {
    const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
    for (const process_ of (stdout ?? '').split('\n').filter(Boolean).map(Number)) {
      try {
        process.kill(process_, 'SIGKILL')
      } catch {
        // It has just ended.
      }
    }
    spawnSync('ip', ['netns', 'delete', name])
  }
}

// Runs the compiled tests and ends with their sum. Arguments: parts of file names, to run only those, in that order.
//
// For machines that are slow or stall, as emulated ones do:
//   PKCTL_TEST_SLOWNESS=10     how many times slower than usual: see test/support/commands.ts
//   PKCTL_TEST_BUDGET=1800     no file is begun after so many seconds; what is left out is told, and counts as skipped
//   PKCTL_TEST_SECOND_TRY=1    a file that failed is run once more, alone, and that one counts; it is told, too
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const { PKCTL_TEST_SLOWNESS: slowness = 1, PKCTL_TEST_BUDGET: budget, PKCTL_TEST_SECOND_TRY: secondTry } = process.env
const wanted = process.argv.slice(2)
const rank = file => wanted.findIndex(part => file.includes(part))
const files = readdirSync('dist/test', { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.test.js') && (wanted.length === 0 || rank(file) >= 0))
  .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
const isLab = file => file.startsWith('lab/') && !isLongest(file)
// What it has no time for is left out, so that all others come first.
const isLongest = file => file.startsWith('lab/native')
const deadline = budget === undefined ? Infinity : Date.now() + budget * 1000
// The reporter ends with them each time.
// eslint-disable-next-line no-control-regex -- colours
const countsOfOneFile = /^(\x1b\[\d+m)*ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm
const sums = new Map()
const remarks = []

/** Runs one file and prints its report when it is done. */
async function take(name) {
  const file = path.resolve('dist/test', name)
  const sum = { passed: 0, failed: 0, skipped: 0, failures: [] }
  const isLeaf = data => data.details?.type !== 'suite' && data.name !== file
  const stream = run({ files: [file], timeout: 4_200_000 * slowness })
  stream.on('test:pass', data => {
    if (!isLeaf(data)) return
    if (data.skip !== undefined || data.todo !== undefined) sum.skipped++
    else sum.passed++
  })
  stream.on('test:fail', data => {
    // A file that could not be run at all counts, too.
    const { error } = data.details ?? {}
    if (!isLeaf(data) && error?.failureType === 'subtestsFailed') return
    sum.failed++
    // What was not run for another's failure says nothing of its own.
    if (error?.failureType === 'cancelledByParent') return
    const why = String(error?.cause?.message ?? error?.cause ?? error).trim()
    sum.failures.push(`failed: ${name}: ${data.name}: ${why.replace(/\s+/g, ' ').slice(0, 400)}`)
  })
  let report = ''
  for await (const part of stream.compose(new spec())) report += part
  process.stdout.write(report.replace(countsOfOneFile, ''))
  sums.set(name, sum)
}

async function takeAll(names, atOnce) {
  const queue = [...names]
  const lane = async () => {
    for (let name; (name = queue.shift()) !== undefined;) {
      if (Date.now() < deadline) {
        await take(name)
        continue
      }
      remarks.push(`not run for want of time: ${name}`)
      sums.set(name, { passed: 0, failed: 0, skipped: 1, failures: [] })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

// Emulated machines take all processors: each of these files runs alone, and first.
await takeAll(files.filter(isLab), 1)
await takeAll(
  files.filter(file => !isLab(file) && !isLongest(file)),
  Math.max(1, availableParallelism()),
)
await takeAll(files.filter(isLongest), 1)
const failed = [...sums].flatMap(([name, sum]) => (sum.failed > 0 ? [name] : []))
for (const name of secondTry ? failed : []) {
  // The first result stands where there is no time for another.
  if (Date.now() >= deadline) break
  remarks.push(...sums.get(name).failures.map(failure => `at first ${failure}`))
  remarks.push(`failed at first and was tried again: ${name}`)
  await take(name)
}

const total = what => [...sums.values()].reduce((sum, one) => sum + one[what], 0)
// Again at the end, in a line each: what comes before may be long.
for (const line of [...remarks, ...[...sums.values()].flatMap(({ failures }) => failures)]) console.log(line)
console.log(
  `${total('passed')} passed, ${total('failed')} failed${total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''}`,
)
process.exitCode = total('failed') > 0 || total('passed') === 0 ? 1 : 0

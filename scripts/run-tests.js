// Runs the compiled tests and ends with a line "N passed, M failed". Arguments: parts of file names, to run only those, in
// that order, but for those first that took longest the last time; those of the lab in that order alone. As many files run
// at once as there are processors. Where it is not known how long they take, large files come before small ones.
//
//   --folder=dist/test   where the files are
//   --limit=600          seconds that a file may take, unless it declares its own: see testfile.js
//   --patience=30        seconds that a file may live on after its last test
//   --at-once=N          how many files run at once, instead of one for each processor
//   --beside=SCRIPT      a script of package.json that runs beside them, and counts as a failed test if it fails
//
// For machines that are slow or stall, as emulated ones do:
//   PKCTL_TEST_SLOWNESS=10     how many times slower than usual: see test/support/commands.ts
//   PKCTL_TEST_SECOND_TRY=1    a file that failed is run once more, alone, and that one counts; the report says so
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { endAll, runFile } from './testfile.js'

const { values, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: 'dist/test' },
    limit: { type: 'string', default: '600' },
    patience: { type: 'string', default: '30' },
    'at-once': { type: 'string', default: `${availableParallelism()}` },
    beside: { type: 'string' },
  },
})
const { PKCTL_TEST_SLOWNESS: slowness = 1, PKCTL_TEST_SECOND_TRY: secondTry } = process.env
const limits = { limit: Number(values.limit), patience: Number(values.patience), slowness: Number(slowness) }
const sizeOf = file => statSync(path.join(values.folder, file)).size
const rank = file => wanted.findIndex(part => file.includes(part))
const files = readdirSync(values.folder, { recursive: true, encoding: 'utf8' })
  .filter(file => /\.test\.m?js$/.test(file) && (wanted.length === 0 || rank(file) >= 0))
  .sort((a, b) => rank(a) - rank(b) || sizeOf(b) - sizeOf(a) || (a < b ? -1 : 1))
const unmatched = wanted.filter(part => !files.some(file => file.includes(part)))
if (unmatched.length > 0) {
  console.error(`no test file has ${unmatched.map(part => JSON.stringify(part)).join(' or ')} in its name`)
  process.exit(1)
}
/** Seconds that each file took the last time: one that takes long and comes last is waited for alone. */
const timesFile = path.resolve('build/test-times.json')
const knownTimes = () => (existsSync(timesFile) ? JSON.parse(readFileSync(timesFile, 'utf8')) : {})
const times = knownTimes()
const byTime = (a, b) => (times[b] ?? 0) - (times[a] ?? 0)
const isLab = file => file.startsWith('lab/')
// The reporter ends with them each time.
const countsOfOneFile = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm
const sums = new Map()
const taken = {}
const remarks = []

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    endAll()
    process.exit(1)
  })
}

/** Runs one file and prints its report when it is done. */
async function take(name) {
  const begin = Date.now()
  const { output, ...sum } = await runFile(path.resolve(values.folder, name), name, limits)
  process.stdout.write(output.replace(countsOfOneFile, ''))
  sums.set(name, sum)
  taken[name] = Math.round((Date.now() - begin) / 1000)
}

async function takeAll(names, atOnce) {
  const queue = [...names]
  const lane = async () => {
    for (let name; (name = queue.shift()) !== undefined;) await take(name)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

/** Runs a script of package.json, and resolves to its sum. */
function takeScript(name) {
  const child = spawn('npm', ['run', '--silent', name], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
  return new Promise(resolve => {
    child.once('close', status => {
      if (status !== 0) process.stdout.write(output)
      const failures = status === 0 ? [] : [`failed: npm run ${name}`]
      resolve({ passed: 0, failed: failures.length, skipped: 0, failures })
    })
  })
}

const beside = values.beside && takeScript(values.beside)
const atOnce = Math.max(1, Number(values['at-once']))
await takeAll(files.filter(isLab), atOnce)
await takeAll(files.filter(file => !isLab(file)).sort(byTime), atOnce)
const failed = [...sums].flatMap(([name, sum]) => (sum.failed > 0 ? [name] : []))
for (const name of secondTry ? failed : []) {
  remarks.push(...sums.get(name).failures.map(failure => `at first ${failure}`))
  remarks.push(`failed at first and was tried again: ${name}`)
  await take(name)
}
if (beside) sums.set(values.beside, await beside)

if (values.folder === 'dist/test') {
  mkdirSync(path.dirname(timesFile), { recursive: true })
  // Another run may have written it meanwhile.
  writeFileSync(timesFile, `${JSON.stringify({ ...knownTimes(), ...taken }, null, 2)}\n`)
}

const total = what => [...sums.values()].reduce((sum, one) => sum + one[what], 0)
// Again at the end, in a line each: what comes before may be long.
for (const line of [...remarks, ...[...sums.values()].flatMap(({ failures }) => failures)]) console.log(line)
console.log(
  `${total('passed')} passed, ${total('failed')} failed${total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''}`,
)
process.exitCode = total('failed') > 0 || total('passed') === 0 ? 1 : 0

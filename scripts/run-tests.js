// Runs the compiled tests and ends with their sum. Arguments: parts of file names, to run only those.
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.test.js'))
  .filter(file => wanted.length === 0 || wanted.some(part => file.includes(part)))
  .sort()
// Emulated machines take all processors: each of these files runs alone, and first.
const isLab = file => file.startsWith('lab/')
const atOnce = Math.max(1, availableParallelism())
const turns = [
  { files: files.filter(isLab), concurrency: 1 },
  { files: files.filter(file => !isLab(file)), concurrency: atOnce },
].map(turn => ({ ...turn, files: turn.files.map(file => path.resolve('dist/test', file)) }))

const sum = { passed: 0, failed: 0, skipped: 0 }
// An emulated machine takes longer: see test/support/commands.ts.
const slowness = Number(process.env.PKCTL_TEST_SLOWNESS ?? 1)

function take(turn) {
  const isLeaf = data => data.details?.type !== 'suite' && !turn.files.includes(data.name)
  const stream = run({ ...turn, timeout: 2_400_000 * slowness })
  stream.on('test:pass', data => {
    if (!isLeaf(data)) return
    if (data.skip !== undefined || data.todo !== undefined) sum.skipped++
    else sum.passed++
  })
  stream.on('test:fail', data => {
    // A file that could not be run at all counts, too.
    if (isLeaf(data) || data.details?.error?.failureType !== 'subtestsFailed') sum.failed++
  })
  const report = stream.compose(new spec())
  report.pipe(process.stdout, { end: false })
  return new Promise(done => report.on('end', done))
}

for (const turn of turns) if (turn.files.length > 0) await take(turn)
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0

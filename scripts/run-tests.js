// Runs the compiled tests and ends with their sum. Arguments: parts of file names, to run only those.
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const wanted = process.argv.slice(2)
// What takes longest begins first, so that the rest can run beside it.
const late = file => Number(!file.startsWith('lab/'))
const files = readdirSync('dist/test', { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.test.js'))
  .filter(file => wanted.length === 0 || wanted.some(part => file.includes(part)))
  .sort((a, b) => late(a) - late(b) || a.localeCompare(b))
  .map(file => path.resolve('dist/test', file))

const sum = { passed: 0, failed: 0, skipped: 0 }
const isLeaf = data => data.details?.type !== 'suite' && !files.includes(data.name)
// An emulated machine takes longer: see test/support/commands.ts.
const slowness = Number(process.env.PKCTL_TEST_SLOWNESS ?? 1)
const stream = run({ files, concurrency: Math.max(1, availableParallelism()), timeout: 1_500_000 * slowness })
stream.on('test:pass', data => {
  if (!isLeaf(data)) return
  if (data.skip !== undefined || data.todo !== undefined) sum.skipped++
  else sum.passed++
})
stream.on('test:fail', data => {
  // A file that could not be run at all counts, too.
  if (isLeaf(data) || data.details?.error?.failureType !== 'subtestsFailed') sum.failed++
})
stream.compose(new spec()).pipe(process.stdout)
stream.on('end', () => {
  process.on('exit', () => {
    console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped > 0 ? `, ${sum.skipped} skipped` : ''}`)
  })
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0
})

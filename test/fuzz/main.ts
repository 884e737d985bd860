/**
 * `npm run fuzz -- [--seconds N | --runs N] [--seed N] [--file FILE] [TARGET…]`: reads changed inputs with the targets whose
 * names contain one of the words. What fails is written to build/fuzz. See docs/testing.md.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { count } from '../../src/util/text.js'
import { root } from '../support/commands.js'
import { runFuzzer } from './fuzzer.js'
import { targets } from './targets/index.js'
import type { Finding, Report } from './worker.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string' },
    runs: { type: 'string' },
    seed: { type: 'string' },
    file: { type: 'string' },
  },
})

function numberOf(name: 'seconds' | 'runs' | 'seed'): number | null {
  const text = values[name]
  if (text === undefined) return null
  if (!/^\d{1,10}$/.test(text)) fail(`--${name}: expected a number, got '${text}'`)
  return Number(text)
}

function fail(message: string): never {
  console.error(`fuzz: ${message}`)
  process.exit(2)
}

const chosen = targets.filter(({ name }) => positionals.length === 0 || positionals.some(word => name.includes(word)))
const names = chosen.map(({ name }) => name)
if (names.length === 0) fail(`there are the targets ${targets.map(({ name }) => name).join(', ')}`)

function save({ target, seed, kept, what, input }: Finding): void {
  console.log(`failed: ${target}: ${what}`)
  if (kept !== undefined) return console.log(`  test/fuzz/corpus/${target}/${kept}`)
  const file = path.join('build/fuzz', `${target}-${seed}`)
  fs.mkdirSync(path.join(root, 'build/fuzz'), { recursive: true })
  fs.writeFileSync(path.join(root, file), input)
  console.log(`  ${file} is the input; npm run fuzz -- --file ${file} ${target}`)
  console.log(`  npm run fuzz -- --seed ${seed} --runs 1 ${target} makes it again; test/fuzz/corpus/${target} keeps it`)
}

function show(report: Report): void {
  if ('finding' in report) save(report.finding)
  else console.log(`${report.done}: ${count(report.runs, 'input')} in ${report.seconds.toFixed(1)} s`)
}

if (values.file !== undefined) {
  const input = fs.readFileSync(path.resolve(root, values.file))
  for (const target of chosen) {
    await target.run(input)
    console.log(`${target.name}: nothing wrong with ${values.file}`)
  }
} else {
  const seed = numberOf('seed') ?? Date.now() >>> 0
  const runs = numberOf('runs')
  console.log(`seed ${seed}`)
  const { findings, done } = await runFuzzer(
    { names, seed, runs, seconds: runs === null ? (numberOf('seconds') ?? 10) : null },
    show,
  )
  const failed = new Set(findings.map(({ target }) => target)).size
  console.log(
    `${[...done.keys()].filter(name => !findings.some(({ target }) => target === name)).length} passed, ${failed} failed`,
  )
  process.exitCode = failed > 0 ? 1 : 0
}

/**
 * npm run bench -- [--json FILE] [--svg FILE] [--docs] [PART...]
 *
 * Measures pkctl in network namespaces of its own, each figure beside what it is to be compared with, and prints one
 * table. With --docs, the documents get the figures of the parts that they have marks for. Nothing here passes or fails: a machine that others use gives other figures, and the ratios are what to read.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { root, run } from '../support/commands.js'
import { chart } from './chart.js'
import { commandsPart } from './commands.js'
import { connectionsPart } from './connections.js'
import { originText, writeIntoDocuments } from './figures.js'
import { floodPart } from './flood.js'
import { idlePart } from './idle.js'
import { latencyPart } from './latency.js'
import { ownFloodPart } from './own-flood.js'
import { ownKnocksPart } from './own-knocks.js'
import { peersPart } from './peers/peers.js'
import { reconcilePart } from './reconcile.js'
import type { Row } from './report.js'
import { markdownTable, progress } from './report.js'
import { stepsPart } from './steps.js'
import { throughputPart } from './throughput.js'

const parts: Readonly<Record<string, () => Promise<Row[]>>> = {
  latency: latencyPart,
  throughput: throughputPart,
  flood: floodPart,
  'own-flood': ownFloodPart,
  'own-knocks': ownKnocksPart,
  connections: connectionsPart,
  steps: stepsPart,
  reconcile: reconcilePart,
  idle: idlePart,
  commands: commandsPart,
  peers: peersPart,
}
/** Not without being named: see bench.sh. */
const onlyByName: ReadonlySet<string> = new Set(['peers'])

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' }, svg: { type: 'string' }, docs: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const unknown = positionals.filter(name => !(name in parts))
if (unknown.length > 0) {
  process.stderr.write(`bench: error: no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}\n`)
  process.exit(2)
}

// Each lab that is there waits for the exit, to leave nothing behind.
process.setMaxListeners(0)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const [loadBefore = 0] = os.loadavg()
const measured = new Map<string, readonly Row[]>()
for (const [name, part] of Object.entries(parts)) {
  if (positionals.length > 0 ? !positionals.includes(name) : onlyByName.has(name)) continue
  const start = Date.now()
  try {
    measured.set(name, await part())
  } catch (error) {
    process.stderr.write(`bench: error: ${name}: ${(error as Error).stack ?? String(error)}\n`)
    process.exitCode = 1
  }
  progress(`${name} took ${Math.round((Date.now() - start) / 1000)} s`)
}

const cpus = os.cpus()
const machine = [
  `${cpus.length} processors (${cpus[0]?.model.trim() ?? '?'})`,
  `load ${loadBefore.toFixed(1)} before`,
  `Linux ${os.release()}`,
  `Node ${process.version}`,
].join(', ')
const [version, commit] = await versionAndCommit()
const origin = { date: new Date().toISOString(), version, commit, machine }
const rows = [...measured.values()].flat()
process.stdout.write(`\n${originText(origin)}\n\n${markdownTable(rows)}\n`)
if (values.json !== undefined) fs.writeFileSync(values.json, `${JSON.stringify({ ...origin, rows }, null, 2)}\n`)
if (values.svg !== undefined) {
  const picture = chart(rows, originText(origin))
  if (picture === undefined) process.stderr.write('bench: none of these figures has a picture\n')
  else fs.writeFileSync(values.svg, picture)
}
if (values.docs) for (const [part, its] of measured) await writeIntoDocuments(part, its, origin)

async function versionAndCommit(): Promise<[version: string, commit: string]> {
  const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }
  const git = async (...args: string[]) => (await run(['git', '-C', root, ...args])).stdout.trim()
  const commit = await git('rev-parse', '--short=8', 'HEAD')
  const isChanged = (await git('status', '--porcelain', '--untracked-files=no')) !== ''
  return [version, commit === '' ? 'no commit' : `${commit}${isChanged ? '+' : ''}`]
}

/**
 * npm run bench -- [--json FILE] [--svg FILE] [PART...]
 *
 * Measures pkctl in network namespaces of its own, each figure beside what it is to be compared with, and prints one
 * table. Nothing here passes or fails: a machine that others use gives other figures, and the ratios are what to read.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import { parseArgs } from 'node:util'
import { chart } from './chart.js'
import { connectionsPart } from './connections.js'
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
  peers: peersPart,
}
/** Not without being named: see bench.sh. */
const onlyByName: ReadonlySet<string> = new Set(['peers'])

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' }, svg: { type: 'string' } },
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
const rows: Row[] = []
for (const [name, part] of Object.entries(parts)) {
  if (positionals.length > 0 ? !positionals.includes(name) : onlyByName.has(name)) continue
  const start = Date.now()
  try {
    rows.push(...(await part()))
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
process.stdout.write(`\n${machine}\n\n${markdownTable(rows)}\n`)
if (values.json !== undefined) {
  const report = { date: new Date().toISOString(), machine, rows }
  fs.writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
}
if (values.svg !== undefined) {
  const picture = chart(rows, machine)
  if (picture === undefined) process.stderr.write('bench: none of these figures has a picture\n')
  else fs.writeFileSync(values.svg, picture)
}

/** The integration tests that are run in a machine: all but those that have nothing to do with its kernel. */
import * as fs from 'node:fs'
import path from 'node:path'
import type { Result } from '../../support/commands.js'
import { dist } from '../../support/commands.js'
import { confined, emulated, runJob } from './job.js'

/** They need programs that the machine lacks, and no kernel. */
const elsewhere = ['completion', 'documents', 'import', 'manual', 'packages', 'provisioning']

/** What takes longest comes first, so that those that run beside each other end at the same time. */
const longest = [
  ...['firewall', 'steps', 'daemon', 'healing', 'services', 'apply', 'doctor-daemon', 'connect-sequences', 'pktables'],
  ...['doctor-rules', 'connect', 'client', 'triggers', 'sequences', 'healing-rules', 'mistakes', 'scapy', 'group'],
]

/** The names of those whose names contain one of the words; without words, of all. */
export function suite(words: readonly string[]): string[] {
  const rank = (name: string) => (longest.includes(name) ? longest.indexOf(name) : longest.length)
  return fs
    .readdirSync(path.join(dist, 'test/integration'))
    .flatMap(file => (file.endsWith('.test.js') ? [path.basename(file, '.test.js')] : []))
    .filter(name => !elsewhere.includes(name))
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

export interface SuiteOptions {
  /** The folder of build/lab for what the machine says. */
  readonly logs: string
  readonly seconds: number
  /** No test is begun after so many seconds. */
  readonly budget?: number
}

/** Runs them with daemons confined. What fails is tried once more: emulation may stall for longer than a packet may take. */
export function runSuite(names: readonly string[], { logs, seconds, budget }: SuiteOptions): Promise<Result> {
  const how = `${emulated} PKCTL_TEST_SECOND_TRY=1 ${budget === undefined ? '' : `PKCTL_TEST_BUDGET=${budget}`}`
  const files = names.map(name => `integration/${name}.test.js`).join(' ')
  // What has been done so far can be seen on the console.
  const script = `${confined}\nset -o pipefail\n${how} node scripts/run-tests.js ${files} 2>&1 | tee /dev/console`
  return runJob(logs, script, seconds)
}

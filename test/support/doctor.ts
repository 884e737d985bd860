/** `pkctl doctor` in a laboratory: its findings, and what a test does to the server so that there are some. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before } from 'node:test'
import type { Finding, FindingId } from '../../src/doctor/finding.js'
import type { Background, Result, RunOptions } from './commands.js'
import { must, pkctl } from './commands.js'
import { Lab } from './lab.js'

export const goodKey = '0x8f1c6a0be2d94757a1d3b6c0f4e58292'
/** A configuration in which nothing is to be found. */
export const soundConfig = `services: { ssh: { port: 22 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: '${goodKey}', port: 4000, opens: [ssh] }`

/** What depends on the machine on which the tests run. */
const ambient = new Set<FindingId>([
  'queue-by-iptables',
  'clock-unsynchronised',
  'clock-unknown',
  'ruleset-flushed-at-start',
])

export const idsOf = (all: readonly Finding[]): FindingId[] => all.map(({ id }) => id).filter(id => !ambient.has(id))

const succeeded = ({ status, stderr }: Result) => {
  assert.equal(status, 0, stderr)
}

export class Patient {
  daemon: Background | undefined

  constructor(
    readonly lab: Lab,
    /** Whether the kernel has nft's `queue` statement. */
    readonly native: boolean,
  ) {}

  /** The command line, for a report in sentences. */
  get argv(): string[] {
    return [process.execPath, pkctl, 'doctor', '--config', path.join(this.lab.directory, 'pkctl.yaml')]
  }

  /** Runs it by `before`, which ends with running its arguments. */
  run(args: readonly string[] = [], how: RunOptions = {}, before: readonly string[] = []): Promise<Result> {
    return this.lab.on([...before, ...this.argv, '--json', ...args], how)
  }

  async findings(...how: Parameters<Patient['run']>): Promise<Finding[]> {
    const { stdout, stderr } = await this.run(...how)
    assert.equal(stderr, '')
    return JSON.parse(stdout) as Finding[]
  }

  /** The finding, which must be there once, beside whatever others. */
  async finds(id: FindingId, pattern: RegExp, ...how: Parameters<Patient['run']>): Promise<Finding> {
    const all = await this.findings(...how)
    const [one, ...more] = all.filter(found => found.id === id)
    assert.ok(one, `no ${id} in ${JSON.stringify(all, null, 1)}`)
    assert.deepEqual(more, [])
    assert.match(one.message, pattern)
    assert.notEqual(one.advice, '')
    return one
  }

  async isSound(): Promise<void> {
    assert.deepEqual(idsOf(await this.findings()), [])
  }

  /** Starts the daemon with a configuration in which nothing is found. */
  async start(body = soundConfig): Promise<void> {
    this.daemon = await this.lab.daemon(this.lab.config(body))
    await this.isSound()
  }

  nft(...commands: string[]): Promise<void> {
    return this.lab.on(['nft', '-f', '-'], { input: `${commands.join('\n')}\n` }).then(succeeded)
  }

  iptables(words: string, tool = 'iptables-nft'): Promise<void> {
    return this.lab.on([tool, ...words.split(' ')]).then(succeeded)
  }

  /** As it was at first, but for the namespaces. */
  async reset(): Promise<void> {
    this.daemon?.child.kill('SIGCONT')
    await this.daemon?.stop()
    this.daemon = undefined
    const { server, directory } = this.lab
    await must(['ip', 'netns', 'exec', server, 'nft', 'flush', 'ruleset'])
    for (const name of fs.readdirSync(directory)) fs.rmSync(path.join(directory, name), { recursive: true })
  }
}

/** One for all tests of a suite, new for each; to be called inside `describe`. */
export function patientOfSuite(): () => Patient {
  let patient: Patient | undefined
  before(async () => {
    const lab = await Lab.create()
    const queue = await lab.on(['nft', '-c', 'add table inet t; add chain inet t c; add rule inet t c queue num 1'])
    patient = new Patient(lab, queue.status === 0)
  })
  afterEach(() => patient?.reset())
  after(() => patient?.lab.remove())
  return () => patient ?? assert.fail('asked for before it was there')
}

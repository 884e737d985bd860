/** Files in the state directory, which a full disk or another program has damaged. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { DueTriggers } from '../../../src/controller/triggers/due-triggers.js'
import { main } from '../../../src/cli/program.js'
import { ReplayJournal } from '../../../src/controller/replay/replay-journal.js'
import { savedServices } from '../../../src/controller/ruleset/saved-services.js'
import { KnockGrantStore } from '../../../src/controller/grants/knock-grant-store.js'
import { readServerKey, serverKeyText } from '../../../src/knock/pk1/server-key.js'
import { parseAddress } from '../../../src/net/addresses.js'
import { plainService } from '../../unit/config/config-support.js'
import { laptop, start } from '../../unit/controller/knock-support.js'
import { isClear } from '../properties.js'
import type { Target } from '../target.js'

// A file system in memory, where there is one: what is written is waited for.
const parent = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()
const directory = path.join(parent, `pkctl-fuzz-state-${process.pid}`)
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))

/** An empty state directory with this file. */
function stateWith(name: string, content: Buffer): string {
  fs.rmSync(directory, { recursive: true, force: true })
  fs.mkdirSync(directory, { mode: 0o700 })
  fs.writeFileSync(path.join(directory, name), content, { mode: 0o600 })
  return directory
}

const limits = { entries: 1000, anyClockEntries: 100 }
const credentials = [laptop, { ...laptop, skew: -1, identity: Buffer.from('any clock') }]

/** A journal with some knocks in it. */
function journalFile(): Buffer {
  const state = stateWith('other', Buffer.alloc(0))
  const journal = ReplayJournal.open(state, limits, start)
  for (const credential of credentials) {
    for (let i = 0; i < 3; i++) journal.append(credential, Buffer.alloc(16, i + 1), 0, start + i)
  }
  journal.commit(start)
  journal.close()
  return fs.readFileSync(path.join(state, 'replays'))
}

const due = (credential: string, address: string, expires: number | null) =>
  `\n${JSON.stringify({ credential, address, expires })}`

const historyLine = (time: string, fields: object) =>
  `${JSON.stringify({ time, level: 'info', message: 'knock by a opens ssh', ...fields })}\n`
const historySeed = [
  historyLine('2030-01-01T12:00:00.000Z', { event: 'knock-accepted', credential: 'a', source: '192.0.2.7' }),
  historyLine('2030-01-01T12:00:01.000Z', { event: 'knock-refused', reason: 'skewed', 'on-behalf-of': '2001:db8::1' }),
].join('')

/** What `pkctl log` prints, each call of a terminal in one piece. */
async function shownLog(...flags: string[]): Promise<readonly string[]> {
  const lines: string[] = []
  const take = (line: string) => void lines.push(line)
  const ignore = () => undefined
  const terminal = {
    out: take,
    error: take,
    hint: take,
    errorLine: take,
    warn: ignore,
    strong: String,
    difference: ignore,
  }
  const config = path.join(directory, 'pkctl.yaml')
  fs.writeFileSync(config, `state-directory: ${directory}\n`)
  assert.equal(await main(['log', '--config', config, ...flags], terminal), 0, lines.join('\n'))
  return lines
}

const signedLine = (fields: object) =>
  `\n${JSON.stringify({
    ...{ credential: 'staff', service: 'ssh', by: 'knock', address: '192.0.2.1', user: 'a', key: 'SHA256:a' },
    ...{ authority: null, until: 1e9, ...fields },
  })}`

export const stateTargets: readonly Target[] = [
  {
    name: 'replay-journal',
    seeds: [journalFile(), Buffer.alloc(32), Buffer.alloc(64, 0xff)],
    run(input) {
      const state = stateWith('replays', input)
      const journal = ReplayJournal.open(state, limits, start)
      const digest = Buffer.alloc(16, 0x77)
      for (const credential of credentials) {
        const cache = journal.cacheFor(credential)
        // Where a record is damaged, what it may have been must not open again.
        if (journal.damaged > 0) assert.notEqual(cache.check(digest, 0, start, start), 'new')
        journal.append(credential, digest, 0, start + 5)
      }
      journal.commit(start + 5)
      journal.close()
      const again = ReplayJournal.open(state, limits, start + 5)
      for (const credential of credentials) {
        assert.notEqual(
          again.cacheFor(credential).check(digest, 0, start + 5, start + 5),
          'new',
          'a knock is forgotten',
        )
      }
      again.close()
    },
  },
  {
    name: 'due-triggers',
    seeds: [due('a', '192.0.2.1', 5) + due('b', '::1', 1e9) + due('a', '192.0.2.1', null)],
    words: ['"credential":', '"expires":', '"address":', 'null', '\n', '{', '}', '"__proto__":'],
    run(input) {
      const state = stateWith('due', input)
      const store = DueTriggers.open(state)
      store.put({ credential: 'new', address: '192.0.2.7', expires: 100 })
      const taken = store.takeUntil(Number.MAX_VALUE)
      for (const { expires } of taken) assert.ok(!Number.isNaN(expires))
      store.close()
      const again = DueTriggers.open(state)
      assert.equal(again.get('new', '192.0.2.7')?.expires, 100)
      again.close()
    },
  },
  {
    name: 'saved-services',
    seeds: [JSON.stringify({ services: [plainService] }), '{"services":[]}'],
    words: ['"services":', '"ports":', '"first":', 'null', '[', ']', '{', '}', '"allow":', '"../x"'],
    run(input) {
      const services = savedServices(stateWith('services.json', input))
      for (const { name, ports, allow } of services ?? []) {
        assert.match(name, /^[A-Za-z0-9][\w-]{0,39}$/)
        assert.ok(ports.every(({ first, last }) => first >= 1 && first <= last && last <= 65_535))
        assert.ok(allow.every(prefix => typeof prefix === 'string'))
      }
    },
  },
  {
    name: 'history',
    seeds: [historySeed],
    words: [
      '"time":',
      '"level":',
      '"message":',
      '"source":',
      '"error"',
      '+275760-09-13T00:00:00.000Z',
      '\n',
      '\\n',
      'null',
    ],
    runs: 200,
    async run(input) {
      stateWith('history', input)
      for (const line of await shownLog('--lines', '1000')) isClear(line.slice(0, 500))
      for (const line of await shownLog('--source', '192.0.2.0/24', '--json')) JSON.parse(line)
    },
  },
  {
    name: 'signed-grants',
    seeds: [`{"boot":"b"}${signedLine({})}${signedLine({ by: 'hand', address: '2001:db8::1', until: null })}`],
    words: ['"boot":"b"', '"until":', '"address":', '"key":', 'null', '\n', '{', '}', '"__proto__":'],
    run(input) {
      const parts = { boot: 'b', now: () => 0, report: (problem: string) => assert.equal(problem, '') }
      const store = KnockGrantStore.open(stateWith('signed-grants', input), parts)
      for (const { address, until, service } of store.running()) {
        assert.equal(parseAddress(address).address, address)
        assert.ok(until > 0)
        store.end(service, address)
      }
      assert.deepEqual(store.running(), [])
      store.close()
      const again = KnockGrantStore.open(directory, parts)
      assert.deepEqual(again.running(), [])
      again.close()
    },
  },
  {
    name: 'server-key',
    seeds: [serverKeyText({ privateKey: Buffer.alloc(32, 7) })],
    run(input) {
      const key = readServerKey(input.toString('latin1'))
      if (!key) return
      // One spelling: what was read is what would be written.
      assert.equal(serverKeyText(key), input.toString('latin1'))
      assert.equal(key.identity.length, 32)
    },
  },
]

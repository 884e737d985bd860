import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Engine, EngineEvents } from '../../../src/fleet/engine.js'
import { Fleet } from '../../../src/fleet/fleet.js'
import type { FleetChange } from '../../../src/fleet/kernel-changes.js'
import type { FleetMessage } from '../../../src/fleet/message.js'
import { decodeMessage, encodeMessage } from '../../../src/fleet/message.js'
import { noStore } from './no-store.js'

const group = { name: 'edge', key: Buffer.alloc(32, 7) }
const now = 1_900_000_000_000

/** One server, with an engine and a kernel that the test plays. */
class Bench {
  readonly changes: FleetChange[] = []
  readonly sent: string[] = []
  readonly fleet: Fleet
  /** Has made the changes when this resolves. */
  kernel: Promise<void> = Promise.resolve()
  now = now
  #events: EngineEvents | undefined
  #entry = 0

  constructor() {
    this.fleet = new Fleet(
      {
        ...{ node: 'here', group, share: ['ssh'], accept: ['ssh'] },
        ...{ mostPerNode: 1000, longestWindowSeconds: 3600 },
      },
      {
        version: '1',
        openEngine: events => {
          this.#events = events
          return this.#engine
        },
        ...{ store: noStore, prefixesOf: () => '32/128', claims: () => null },
        sourceOf: (_, address) => address,
        apply: changes => {
          this.changes.push(...changes)
          return this.kernel
        },
        report: () => undefined,
        now: () => this.now,
      },
    )
    this.connect()
  }

  readonly #engine: Engine = {
    start: () => undefined,
    send: texts => {
      this.sent.push(...texts.map(text => this.#textOf(text)))
      return Promise.resolve(texts.map(() => this.#nextId()))
    },
    trim: () => Promise.resolve(),
    first: () => Promise.resolve(undefined),
    stop: () => Promise.resolve(),
  }

  connect(): void {
    this.#events?.onReady()
  }

  /** The engine has lost all. */
  async forget(): Promise<void> {
    this.sent.length = 0
    this.#events?.onForgotten()
    await this.settle()
  }

  async hears(...messages: FleetMessage[]): Promise<void> {
    const entries = messages.map(message => ({ id: this.#nextId(), text: encodeMessage(message, group) }))
    this.#events?.onEntries(entries, true)
    await this.settle()
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await turn()
  }

  #nextId = () => `${now}-${this.#entry++}`

  #textOf(text: string): string {
    const message = decodeMessage(text, group, { now, ahead: 30_000, longestWindow: 3_600_000 })
    if (typeof message === 'string') return message
    return message.kind === 'hello' ? 'hello' : `${message.kind} ${message.by}`
  }
}

const word = { by: 'knock', service: 'ssh', source: '192.0.2.7', node: 'there', epoch: 1 } as const
const long: FleetMessage = { ...word, kind: 'grant', sequence: 1, made: now - 50_000, until: now + 600_000 }

describe('a server of a fleet', () => {
  it('adds what another one has granted', async () => {
    const bench = new Bench()
    await bench.hears(long)
    assert.deepEqual(
      bench.changes.map(({ grant }) => grant),
      [{ node: 'there', seconds: 600 }],
    )
  })

  it('adds nothing that a later grant has ended, although that is over', async () => {
    const bench = new Bench()
    const short: FleetMessage = { ...long, sequence: 2, made: now - 40_000, until: now - 1000 }
    await bench.hears(long, short)
    await bench.hears(long)
    assert.deepEqual(bench.changes, [])
  })

  it('grants again what a revocation took away that was made before, and came into the kernel after', async () => {
    const bench = new Bench()
    let revoke: () => void = () => undefined
    bench.kernel = new Promise(resolve => (revoke = resolve))
    bench.fleet.revoked('ssh', '192.0.2.7', 'hand')
    await bench.settle()
    bench.fleet.granted('ssh', '192.0.2.7', 'hand', now + 600_000)
    revoke()
    await bench.settle()
    assert.deepEqual(
      bench.changes.map(({ grant, revokes }) => ({ grant, revokes })),
      [
        { grant: undefined, revokes: ['knock', 'hand'] },
        { grant: { node: 'here', seconds: 600 }, revokes: ['knock'] },
      ],
    )
  })

  it('leaves to the kernel what is granted long after a revocation', async () => {
    const bench = new Bench()
    bench.fleet.revoked('ssh', '192.0.2.7', 'hand')
    await bench.settle()
    bench.now += 60_000
    bench.fleet.granted('ssh', '192.0.2.7', 'hand', now + 600_000)
    await bench.settle()
    assert.deepEqual(
      bench.changes.map(({ grant, revokes }) => ({ grant, revokes })),
      [{ grant: undefined, revokes: ['knock', 'hand'] }],
    )
  })

  it('sends a revocation again, and what was granted after it, to an engine that has forgotten', async () => {
    const bench = new Bench()
    await bench.settle()
    bench.fleet.revoked('ssh', '192.0.2.7', 'hand')
    await bench.settle()
    bench.fleet.granted('ssh', '192.0.2.7', 'hand', now + 60_000)
    await bench.settle()
    assert.deepEqual(bench.sent, ['hello', 'revoke hand', 'grant hand'])
    await bench.forget()
    assert.deepEqual(bench.sent, ['revoke hand', 'grant hand'])
  })
})

/**
 * That a knock of pkctl's own opens at most once: at another server, at two servers of one identity, and at a server that
 * is killed at any step, or whose clock is set. With real replay journals, and real signatures.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { Counters } from '../../../src/controller/report/answer-counters.js'
import type { KnockEvent } from '../../../src/controller/report/knock-events.js'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { KnockTally } from '../../../src/controller/report/knock-tally.js'
import { PacketHandler } from '../../../src/controller/packets/packet-handler.js'
import { ReplayJournal } from '../../../src/controller/replay/replay-journal.js'
import { SequenceVerifier } from '../../../src/controller/verify/sequence-verifier.js'
import { SignatureVerifier } from '../../../src/controller/verify/signature-verifier.js'
import type { SignedJob } from '../../../src/controller/verify/signature-job.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import { newServerKey } from '../../../src/knock/pk1/signed.js'
import { signedFormat } from '../../../src/knock/pk1/signed-format.js'
import { symmetric } from '../../../src/knock/pk1/symmetric.js'
import { RecentGrants } from '../../../src/nft/reconcile/recent-grants.js'
import { Marks } from '../../../src/nft/table/marks.js'
import { sourceText } from '../../../src/queue/packet.js'
import { testKey } from '../knock/openssh/sshsig.js'
import { knock, knockPort, laptop, start, TestClock } from './knock-support.js'
import { keysOf, signedPayload, staff } from './signed-support.js'

const marks = new Marks(0xffff0000, 77)
const alice = testKey('ssh-ed25519')
const [one, another] = [newServerKey(randomBytes), newServerKey(randomBytes)]
const deviceKey = createHash('sha256').update('device').digest()

const directories: string[] = []
after(() => directories.forEach(each => fs.rmSync(each, { recursive: true })))
const stateDirectory = () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-once-'))
  directories.push(directory)
  return directory
}

/** Where a server is killed: what it has not done by then, it never does. */
type Step = 'before its signature is verified' | 'before it is on disk' | 'while it is written' | 'before its answer'

/** The life of a server, from the start of its daemon. */
class Life {
  readonly clock = new TestClock()
  readonly #events: KnockEvent[] = []
  readonly #jobs: SignedJob[] = []
  readonly #signatures = new SignatureVerifier(this.clock)
  readonly #keysRead: Promise<unknown>
  readonly #handler: PacketHandler

  constructor(
    readonly directory: string,
    key = one,
    readonly dies?: Step,
    /** Seconds by which its clock is ahead, at first. */
    ahead = 0,
  ) {
    const { clock } = this
    clock.wall += ahead
    const journal = ReplayJournal.open(directory, { entries: 100, anyClockEntries: 100 }, clock.now(), message => {
      assert.fail(message)
    })
    const credentials: PacketCredential[] = [
      { ...staff, secret: { identity: key.identity }, identity: signedFormat.identityOf({ identity: key.identity }) },
      deviceAt(key.identity),
    ]
    this.#keysRead = this.#signatures.configure([keysOf({ authorized: `${alice.line} alice\n` }, key)])
    this.#handler = new PacketHandler(
      new KnockVerifier(structuredClone(credentials), credential => journal.cacheFor(credential), clock),
      new SequenceVerifier([], clock, () => undefined),
      {
        marks,
        journal: {
          append: (...note) => {
            journal.append(...note)
          },
          commit: now => {
            if (dies !== 'before it is on disk') journal.commit(now)
          },
        },
        ...{ counters: new Counters(), clock, recent: new RecentGrants(), steadySeconds: () => 5, queueLength: 99 },
        tally: new KnockTally(),
        ...{ addressText: sourceText, onEffects: () => undefined, onTrouble: () => undefined },
        onEvents: events => this.#events.push(...events),
      },
    )
    this.#handler.verifySignature = job => this.#jobs.push(job)
  }

  /** What becomes of the knock. */
  async receives(payload: Buffer): Promise<string> {
    const packet = knock({ payload, mark: marks.candidate, id: 1 })
    this.#handler.onBatch({ packets: [packet], count: 1, answers: new Float64Array(1) })
    const job = this.#jobs.shift()
    if (job) {
      if (this.dies === 'before its signature is verified') return 'no answer'
      await this.#keysRead
      this.#handler.onVerified([await this.#signatures.verify(job)])
    }
    if (this.dies === 'while it is written') {
      const file = path.join(this.directory, 'replays')
      fs.truncateSync(file, fs.statSync(file).size - 5)
    }
    if (this.dies) return 'no answer'
    this.#handler.onAnswered()
    const event = this.#events.pop()
    return event?.kind === 'grant' ? 'opens' : (event?.reason ?? 'nothing')
  }
}

function deviceAt(identity: Buffer): PacketCredential {
  const secret = { identity, key: deviceKey }
  return { ...laptop, name: 'device', type: 'symmetric', secret, identity: symmetric.identityOf(secret) }
}

const kinds: readonly [string, (identity: Buffer) => Buffer, string, readonly Step[]][] = [
  [
    'signed knock',
    identity => signedPayload(alice, { identity }),
    'bad-hash',
    ['before its signature is verified', 'before it is on disk', 'while it is written', 'before its answer'],
  ],
  [
    'symmetric knock',
    identity => symmetric.encode({ port: knockPort, time: start, random: randomBytes }, { identity, key: deviceKey }),
    'unknown-tag',
    ['before it is on disk', 'while it is written', 'before its answer'],
  ],
]

for (const [kind, make, refusedElsewhere, steps] of kinds) {
  describe(`a ${kind} that is sent again`, () => {
    it('opens nothing at another server', async () => {
      const payload = make(one.identity)
      assert.equal(await new Life(stateDirectory(), another).receives(payload), refusedElsewhere)
      assert.equal(await new Life(stateDirectory()).receives(payload), 'opens')
    })

    it('opens once at each server of its identity, also after a restart', async () => {
      const payload = make(one.identity)
      for (const directory of [stateDirectory(), stateDirectory()]) {
        const life = new Life(directory)
        assert.deepEqual([await life.receives(payload), await life.receives(payload)], ['opens', 'replayed'])
        assert.equal(await new Life(directory).receives(payload), 'replayed')
      }
    })

    it('opens once, however the clock is set back and forth, within a life and over restarts', async () => {
      const [payload, directory] = [make(one.identity), stateDirectory()]
      const life = new Life(directory)
      assert.equal(await life.receives(payload), 'opens')
      for (const seconds of [8, -8, 0, 40, 0, -40, 0, 86_400, 0, -86_400, 0]) {
        life.clock.wall = start + seconds
        assert.notEqual(await life.receives(payload), 'opens', `${seconds} s`)
      }
      for (const seconds of [-9, 9, 0, 60, 0, -60, 3, 86_400, 0, -86_400, 0])
        assert.notEqual(await new Life(directory, one, undefined, seconds).receives(payload), 'opens', `${seconds} s`)
      const wandering = new Life(directory, one, undefined, 86_400)
      for (const seconds of [-86_400, 0, 5]) {
        wandering.clock.wall = start + seconds
        assert.notEqual(await wandering.receives(payload), 'opens', `${seconds} s, from a day ahead`)
      }
    })

    for (const step of steps) {
      it(`opens once at most, to a server that is killed ${step}`, async () => {
        const [payload, directory] = [make(one.identity), stateDirectory()]
        assert.equal(await new Life(directory, one, step).receives(payload), 'no answer')
        const isOnDisk = step === 'before its answer'
        const second = new Life(directory)
        assert.equal(await second.receives(payload), isOnDisk ? 'replayed' : 'opens')
        assert.equal(await new Life(directory).receives(payload), 'replayed')
      })
    }
  })
}

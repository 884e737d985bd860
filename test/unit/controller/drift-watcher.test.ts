import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { DriftWatcher } from '../../../src/controller/ruleset/drift-watcher.js'
import type { GrantTracker } from '../../../src/nft/reconcile/grant-tracker.js'
import type { MonitorEvents } from '../../../src/nft/reconcile/nft-monitor.js'
import { MonitorReader } from '../../../src/nft/reconcile/nft-monitor.js'
import type { Reconciler, Reconciliation } from '../../../src/nft/reconcile/reconciler.js'

/** A ruleset that another program may have changed, and a monitor that reports it. */
class Scene {
  drift: string[] = []
  givenUp = 0
  failing = false
  reads = 0
  /** Instead of an answer at once, with the question whether it still matters. */
  read: ((isCurrent: () => boolean) => Promise<boolean>) | undefined
  reconciliations: boolean[] = []
  watches: MonitorEvents[] = []
  said: string[] = []
  generation = 1
  isTableThere = true
  closings = 0
  asked = 0
  readonly questions = {
    generation: () => (this.asked++, this.generation),
    hasTable: () => this.isTableThere,
    secondsLeft: () => undefined,
  }
  readonly driftWatcher: DriftWatcher

  constructor() {
    const say = (level: string) => (message: string) => void this.said.push(`${level}: ${message}`)
    const log = { error: say('error'), warn: say('warn'), info: say('info'), debug: say('debug') }
    const readGrants = (isCurrent: () => boolean) => {
      this.reads++
      return this.read?.(isCurrent) ?? Promise.resolve(this.reads > 3)
    }
    const ignore = () => undefined
    const closePorts = () => Promise.resolve(void this.closings++)
    const reconciler = {
      readGrants,
      closePorts,
      follow: ignore,
      interrupt: ignore,
      end: ignore,
    } as unknown as Reconciler
    const tracker = { forgetAll: () => undefined } as unknown as GrantTracker
    const watch = (events: MonitorEvents) => {
      this.watches.push(events)
      return { pid: 1, stop: () => undefined }
    }
    this.driftWatcher = new DriftWatcher({ reconciler, tracker, watch, questions: this.questions }, log, queueRule =>
      this.#reconcile(queueRule),
    )
  }

  #reconcile(queueRule: boolean): Promise<Reconciliation> {
    this.reconciliations.push(queueRule)
    if (this.failing) return Promise.reject(new Error('nft: no'))
    const drift = this.drift
    this.drift = []
    return Promise.resolve({ drift, restored: 0, ...(this.givenUp > 0 ? { givenUp: this.givenUp } : {}) })
  }

  async tell(...lines: string[]): Promise<void> {
    const reader = new MonitorReader({
      transaction: one => this.watches.at(-1)?.transaction(one),
      deleted: () => this.watches.at(-1)?.deleted(),
    })
    for (const line of [...lines, '# new generation 2 by process 7 (nft)']) reader.line(line)
    await settle()
  }

  async causeDrift(): Promise<void> {
    this.drift = ['the table went']
    await this.tell('delete table inet pkctl')
  }
}

const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}
async function pass(milliseconds: number): Promise<void> {
  for (let gone = 0; gone < milliseconds; gone += 25) {
    now += 25
    mock.timers.tick(25)
    await settle()
  }
}
let now = 0

describe('DriftWatcher', () => {
  let scene: Scene
  beforeEach(async () => {
    now = 100_000
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
    mock.method(performance, 'now', () => now)
    scene = new Scene()
    scene.driftWatcher.start(true)
    await pass(20_000)
    assert.ok(scene.reconciliations.length > 1, 'before nft sees, and when it does')
    scene.reconciliations = []
  })
  afterEach(() => {
    scene.driftWatcher.stop()
    mock.timers.reset()
    mock.restoreAll()
  })

  const lines: readonly (readonly [string, boolean[]])[] = [
    ['delete rule inet pkctl pk-ssh handle 4', [false]],
    ['add element inet pkctl services-input { tcp . 23 : goto x }', [false]],
    ['add element inet pkctl pk-ssh.allow-4 { 10.0.0.0/8 }', [false]],
    ['add element inet pkctl pk-ssh-4 { 192.0.2.1 }', []],
    ['delete element inet pkctl pk-ssh.add-4 { 192.0.2.1 }', []],
    ['delete rule ip mangle INPUT handle 4', [true]],
    ['delete table ip6 mangle', [true]],
    ['insert rule ip mangle INPUT counter', []],
    ['delete table inet filter', []],
    ['delete table ip pkctl', []],
    ['delete chain inet pkctl sign-7', []],
  ]
  for (const [line, looks] of lines) {
    it(`${looks.length > 0 ? 'looks' : 'does not look'} after: ${line}`, async () => {
      await scene.tell(line)
      assert.deepEqual(scene.reconciliations, looks)
      assert.equal(scene.driftWatcher.restorations, 0)
    })
  }

  it('looks, a little later and once, after transactions of which nothing is shown', async () => {
    for (let i = 0; i < 5; i++) await scene.tell()
    assert.deepEqual(scene.reconciliations, [])
    await pass(1000)
    assert.deepEqual(scene.reconciliations, [false])
  })

  it('says that it does not watch before the first reading of the grants, and lets a start wait for that', async () => {
    const fresh = new Scene()
    let isRead: (read: boolean) => void = () => assert.fail('not asked for')
    fresh.read = () => new Promise(resolve => (isRead = resolve))
    assert.match(fresh.driftWatcher.unwatchedBecause ?? '', /has just started/)
    fresh.driftWatcher.start(true)
    await settle()
    assert.equal(fresh.driftWatcher.watched, false)
    const ends: string[] = []
    void fresh.driftWatcher.untilWatched(2000).then(() => ends.push('waited enough'))
    await pass(2000)
    assert.deepEqual([ends, fresh.driftWatcher.watched], [['waited enough'], false])
    void fresh.driftWatcher.untilWatched(60_000).then(() => ends.push('watched'))
    await pass(1000)
    assert.equal(ends.length, 1)
    isRead(true)
    await settle()
    assert.deepEqual([ends[1], fresh.driftWatcher.watched], ['watched', true])
    fresh.driftWatcher.stop()
  })

  it('says whether there is a watch that sees, and why not', async () => {
    assert.equal(scene.driftWatcher.watched, true)
    scene.reads = 0
    scene.watches.at(-1)?.ended('setpriv: activate capabilities: Operation not permitted')
    assert.match(scene.said.join(), /error: nft monitor ended and is started again: setpriv/)
    await pass(200)
    assert.equal(scene.driftWatcher.watched, false)
    assert.match(scene.driftWatcher.unwatchedBecause ?? '', /^nft monitor ended .*: setpriv/)
    await pass(20_000)
    assert.equal(scene.driftWatcher.watched, true)
  })

  it('looks at once when the table is deleted, before the transaction is read to its end', async () => {
    scene.drift = ['the table went']
    scene.watches.at(-1)?.deleted()
    await settle()
    assert.deepEqual(scene.reconciliations, [true])
    assert.equal(scene.driftWatcher.restorations, 1)
  })

  it('does not look again for what a comparison has seen', async () => {
    scene.generation = 2
    scene.watches.at(-1)?.deleted()
    await settle()
    await scene.tell('delete rule inet pkctl pk-ssh handle 4')
    assert.deepEqual(scene.reconciliations, [true])
  })

  it('looks when the ruleset has changed and the monitor does not say how, and once', async () => {
    scene.generation = 2
    scene.driftWatcher.rulesetChanged()
    await pass(75)
    assert.deepEqual(scene.reconciliations, [])
    await pass(1000)
    assert.deepEqual(scene.reconciliations, [true])
  })

  it('looks soon also when no change was noticed', async () => {
    scene.generation = 2
    await pass(1200)
    assert.deepEqual(scene.reconciliations, [true])
  })

  it('does not look for a change that the monitor reports in time, also when more follow', async () => {
    for (let i = 0; i < 40; i++) {
      scene.generation++
      scene.driftWatcher.rulesetChanged()
      const [events, generation] = [[], scene.generation]
      const foreign = { verb: 'add', kind: 'set', family: 'ip', table: 'x', name: 'y', elements: events }
      await pass(25)
      scene.watches.at(-1)?.transaction({ events: [foreign], generation, by: '', lost: false })
    }
    assert.deepEqual(scene.reconciliations, [])
  })

  it('asks the kernel once a second while nothing changes', async () => {
    scene.asked = 0
    await pass(10_000)
    assert.ok(scene.asked <= 10, `${scene.asked} times`)
  })

  it('closes ports and compares at once when the table is gone, before the monitor says so', async () => {
    scene.generation = 2
    scene.driftWatcher.rulesetChanged()
    assert.equal(scene.closings, 0)
    scene.isTableThere = false
    scene.drift = ['the table went']
    scene.driftWatcher.rulesetChanged()
    await settle()
    assert.equal(scene.closings, 1)
    assert.deepEqual(scene.reconciliations, [true])
    scene.driftWatcher.stop()
    scene.driftWatcher.rulesetChanged()
    assert.equal(scene.closings, 1)
  })

  it('says how long rules may have been gone: since the ruleset was another one', async () => {
    await pass(50)
    scene.generation = 2
    now += 300
    scene.drift = ['the table went']
    scene.watches.at(-1)?.deleted()
    await settle()
    assert.match(scene.said.join(), /restored 0 ms after pkctld noticed, at most 3[0-5]\d ms after the change/)
  })

  it('says how many grants could not be restored', async () => {
    scene.givenUp = 2
    await scene.causeDrift()
    assert.match(scene.said.join('\n'), /^warn: 2 grants could not be restored, .*must knock again$/m)
  })

  it('says who did what, and counts', async () => {
    await scene.causeDrift()
    assert.equal(scene.driftWatcher.restorations, 1)
    assert.match(scene.said.join(), /warn: the table went by process 7 \(nft\); restored 0 ms after/)
  })

  it('in a fight is quick at first, then slower and slower, never ends, and says so once a minute', async () => {
    for (let i = 0; i < 20; i++) await scene.causeDrift()
    assert.equal(scene.driftWatcher.restorations, 20, 'at once')
    const counts: number[] = []
    for (let second = 0; second < 90; second++) {
      const before = scene.driftWatcher.restorations
      for (let i = 0; i < 20; i++) {
        await scene.causeDrift()
        await pass(50)
      }
      counts.push(scene.driftWatcher.restorations - before)
    }
    assert.ok((counts[0] ?? 0) >= 3, counts.join())
    const last = counts.slice(-30).reduce((sum, count) => sum + count, 0)
    assert.ok(last >= 14 && last <= 17, `every two seconds: ${counts.join()}`)
    assert.equal(scene.said.filter(text => text.includes('keep being changed')).length, 2)
    await pass(12_000)
    await scene.tell('add chain inet pkctl x')
    await scene.causeDrift()
    assert.match(scene.said.at(-1) ?? '', /the table went by/, 'quick and named again after a calm')
  })

  it('tries again when it could not, with pauses, and complains once a minute', async () => {
    scene.failing = true
    await scene.causeDrift()
    await pass(10_000)
    assert.ok(
      scene.reconciliations.length > 5 && scene.reconciliations.length < 20,
      String(scene.reconciliations.length),
    )
    assert.equal(scene.said.filter(text => text.startsWith('error')).length, 1)
    scene.failing = false
    await pass(3000)
    assert.equal(scene.driftWatcher.restorations, 1)
  })

  it('looks, and asks for the queue rule as well, when more happened than it was told', async () => {
    await scene.tell('# ERROR: We lost some netlink events!')
    assert.deepEqual([...new Set(scene.reconciliations)], [true])
  })

  it('starts a watch that ends again, slower each time, and looks after each start', async () => {
    for (let i = 0, ended = 0; i < 400; i++) {
      if (scene.watches.length > ended) scene.watches[ended++]?.ended('killed')
      await pass(100)
    }
    assert.ok(scene.watches.length > 6 && scene.watches.length < 15, String(scene.watches.length))
    assert.ok(scene.reconciliations.length >= scene.watches.length - 1)
  })

  it('asks which grants run until it is told, and again when something was lost', async () => {
    const before = scene.reads
    assert.equal(before, 4)
    assert.match(scene.said.join(), /debug: the ruleset is watched/)
    await scene.tell('# ERROR: We lost some netlink events!')
    assert.ok(scene.reads > before)
  })

  it('does nothing any more when it was stopped', async () => {
    scene.driftWatcher.stop()
    await scene.causeDrift()
    scene.watches.at(-1)?.ended('killed')
    await pass(20_000)
    assert.deepEqual([scene.reconciliations.length, scene.watches.length], [0, 1])
  })

  it('what was learnt before the watch ended, or lost something, counts no more; and one learning goes on at a time', async () => {
    const asked: { isCurrent: () => boolean; answer: (learnt: boolean) => void }[] = []
    scene.read = isCurrent => new Promise(answer => asked.push({ isCurrent, answer }))
    const answer = (which: number) => asked[which]?.answer(true)
    const lose = () => scene.watches.at(-1)?.transaction({ events: [], by: '', lost: true })
    lose()
    lose()
    assert.deepEqual([asked.length, asked[0]?.isCurrent()], [1, false])
    answer(0)
    await pass(1000)
    assert.deepEqual([asked.length, asked[1]?.isCurrent()], [2, true])
    scene.watches.at(-1)?.ended('killed')
    assert.equal(asked[1]?.isCurrent(), false)
    answer(1)
    await settle()
    assert.equal(scene.driftWatcher.watched, false)
    await pass(1000)
    assert.equal(asked.length, 3, 'the next watch learns for itself')
    answer(2)
    await settle()
    assert.equal(scene.driftWatcher.watched, true)
    await pass(60_000)
    assert.equal(asked.length, 3)
  })
})

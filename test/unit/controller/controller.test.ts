import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import type { Config } from '../../../src/config/types.js'
import type { ControllerParts } from '../../../src/controller/controller-parts.js'
import { Controller } from '../../../src/controller/controller.js'
import type { PacketWorker } from '../../../src/controller/packets/packet-worker-interface.js'
import type { Command } from '../../../src/nft/nft-json.js'
import { deleteTable } from '../../../src/nft/nft-json.js'
import type { Exclusive } from '../../../src/nft/lock.js'
import { Firewall } from '../../../src/nft/reconcile/firewall.js'
import { GrantTracker } from '../../../src/nft/reconcile/grant-tracker.js'
import type { MonitorEvents } from '../../../src/nft/reconcile/nft-monitor.js'
import { RecentGrants } from '../../../src/nft/reconcile/recent-grants.js'
import { Reconciler } from '../../../src/nft/reconcile/reconciler.js'
import { Marks } from '../../../src/nft/table/marks.js'
import type { ServiceSpec } from '../../../src/nft/table/service-spec.js'
import { FakeNft, fakeRuleset, noStandby } from '../../support/fake-nft.js'
import { ports, service } from '../../support/firewall-tools.js'
import { load } from '../config/config-support.js'

const ssh = service('ssh')
const web = service('web', { ports: ports(80) })

const rotating = `
  hourly: { type: rotating, open-secret: a, range: 1000-2000, hour: utc, opens: [ssh] }`

/** A controller on the fake, with a watch that reports what is applied when it is asked to. */
class Scene {
  now = Date.UTC(2026, 0, 1, 10, 59)
  readonly nft = new FakeNft({ now: () => this.now / 1000 })
  readonly said: string[] = []
  readonly stopped: string[] = []
  readonly controller: Controller
  readonly firewall: Firewall
  /** Rejects for as long as it is set. */
  trouble: Error | undefined
  /** Done before each transaction. */
  before: (commands: readonly Command[]) => Promise<void> | void = () => undefined
  #watch: MonitorEvents | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(
    services: readonly ServiceSpec[],
    readonly config: Config,
  ) {
    this.config = { ...config, services }
    const say = (level: string) => (message: string) => void this.said.push(`${level}: ${message}`)
    const log = { error: say('error'), warn: say('warn'), info: say('info'), debug: say('debug') }
    const apply = this.nft.apply.bind(this.nft)
    this.nft.apply = async commands => {
      await this.before(commands)
      if (this.trouble) throw this.trouble
      await apply(commands)
      for (const name of signsIn(commands)) setImmediate(() => this.tell('add', 'chain', name))
    }
    const exclusive: Exclusive = work => {
      const result = this.#turn.then(work)
      this.#turn = result.catch(() => undefined)
      return result
    }
    const ruleset = { ...fakeRuleset(this.nft), exclusive }
    this.firewall = new Firewall(ruleset)
    const marks = new Marks(0xffff0000)
    const tracker = new GrantTracker(marks, () => this.now / 1000, new RecentGrants())
    const worker: PacketWorker = {
      counters: { get: () => 0 } as unknown as PacketWorker['counters'],
      signatures: 'off',
      configure: () => Promise.resolve(),
      useKeys: () => Promise.resolve([]),
      carriedOut: () => undefined,
      claimed: () => undefined,
      sequencesInProgress: () => Promise.resolve([]),
      report: () => Promise.resolve(undefined),
      ping: () => Promise.resolve(),
      stop: () => Promise.resolve(void this.stopped.push('worker')),
    }
    this.controller = new Controller(this.config, {
      version: '0',
      log,
      firewall: this.firewall,
      triggers: {
        configure: () => undefined,
        stop: () => Promise.resolve(void this.stopped.push('triggers')),
      } as unknown as ControllerParts['triggers'],
      readOneTime: () => ({ unused: [] }),
      readKeyFile: () => Promise.resolve(undefined),
      knockGrants: {
        ...{ note: () => undefined, end: () => undefined, forget: () => undefined, running: () => [] },
        close: () => void this.stopped.push('signed grants'),
      },
      steadySeconds: () => this.now / 1000,
      marks,
      reconciling: {
        reconciler: new Reconciler(ruleset, tracker, noStandby),
        tracker,
        watch: events => {
          this.#watch = events
          return { pid: 1, stop: () => undefined }
        },
        questions: { generation: () => undefined, hasTable: () => undefined, secondsLeft: () => undefined },
      },
      ownership: {
        owner: {
          owns: false,
          canOwn: () => Promise.resolve(false),
          take: () => Promise.resolve('absent'),
          release: () => Promise.resolve(),
          onLost: () => undefined,
        },
        saved: { obstacle: () => undefined, places: [] },
        exclusive,
      },
      selfTestToken: new Uint8Array(32),
      openLoopback: () => Promise.reject(new Error('no loopback')),
      onSelfTest: () => undefined,
      startWorker: () => Promise.resolve(worker),
      queueStatistics: () => undefined,
      now: () => this.now,
      random: () => 3,
      onFatal: error => assert.fail(error),
    })
  }

  tell(verb: string, kind: string, name = ''): void {
    const event = { verb, kind, family: 'inet', table: 'pkctl', name, elements: [] }
    this.#watch?.transaction({ events: [event], by: 'process 7 (nft)', lost: false })
  }

  async names(): Promise<string[]> {
    return [...(await this.firewall.services()).keys()]
  }

  async knockPorts(): Promise<string> {
    return JSON.stringify((await this.nft.list()).sets.get('knock-ports')?.elements.map(({ value }) => value))
  }

  async start(): Promise<void> {
    await this.controller.start()
    await settle()
  }
}

const signsIn = (commands: readonly Command[]): string[] =>
  [...JSON.stringify(commands).matchAll(/"add":\{"chain":\{[^{}]*"name":"(sign-\d+)"/g)].map(
    ([, name]) => name as string,
  )

async function settle(): Promise<void> {
  for (let i = 0; i < 200; i++) await new Promise(done => setImmediate(done))
}

const configOf = (credentials = '\n  c: { type: pkd, key: a long enough key, opens: [ssh] }'): Config =>
  load(`services: { ssh: { port: 22 } }\ncredentials:${credentials}`).config

describe('Controller restores what other programs changed', () => {
  const damages: readonly [string, Command[], string, RegExp][] = [
    ['the table', [deleteTable()], 'the table inet pkctl was deleted', /^delete table/],
    [
      'the rules of a service',
      [{ flush: { chain: { family: 'inet', table: 'pkctl', name: 'pk-web' } } }],
      'service web was changed',
      /^delete rule pk-web/,
    ],
  ]
  for (const [name, commands, damage] of damages) {
    for (const how of ['refresh', 'reload'] as const) {
      it(`${name} went, and a ${how} comes before the drift watcher looks`, async () => {
        const scene = new Scene([ssh], configOf())
        await scene.start()
        await scene.firewall.apply({ specs: [web], onlyNew: true })
        await scene.controller.refresh()
        await scene.nft.apply(commands)
        await (how === 'refresh' ? scene.controller.refresh() : scene.controller.reload(scene.config))
        assert.deepEqual(await scene.names(), ['ssh', 'web'])
        const told = scene.said.filter(line => line.startsWith(`warn: ${damage} by another program; restored`))
        assert.equal(told.length, 1, scene.said.join('\n'))
        assert.equal((await scene.controller.status()).healed, 1)
        await scene.controller.stop()
      })
    }
  }

  it('the table goes between that look and the refresh itself', async () => {
    const scene = new Scene([ssh], configOf())
    await scene.start()
    await scene.firewall.apply({ specs: [web], onlyNew: true })
    await scene.controller.refresh()
    const install = scene.firewall.install.bind(scene.firewall)
    let times = 0
    scene.firewall.install = async (...given) => {
      if (++times === 1) await scene.nft.apply([deleteTable()])
      return install(...given)
    }
    await scene.controller.refresh()
    assert.deepEqual([times, await scene.names()], [2, ['ssh', 'web']])
    await scene.controller.stop()
  })

  it('a service that a command removed stays away', async () => {
    const scene = new Scene([ssh], configOf())
    await scene.start()
    await scene.firewall.apply({ specs: [web], onlyNew: true })
    await scene.controller.refresh()
    await scene.firewall.removeService('web')
    await scene.controller.refresh()
    assert.deepEqual([await scene.names(), (await scene.controller.status()).healed], [['ssh'], 0])
    await scene.controller.stop()
  })
})

describe('Controller.reload and options of the start', () => {
  it('keeps them, and names those that changed, until they are as at the start', async () => {
    const scene = new Scene([ssh], configOf())
    await scene.start()
    const other = {
      ...scene.config,
      stateDirectory: '/elsewhere',
      queue: { number: 63, maxLength: 7 },
      limits: { ...scene.config.limits, replayEntries: 5, perSource: 30 },
    }
    for (let time = 0; time < 2; time++) {
      const { config, needsRestart } = await scene.controller.reload(other)
      const { stateDirectory, queue, limits } = scene.config
      assert.deepEqual(config, { ...other, stateDirectory, queue, limits: { ...limits, perSource: 30 } })
      const names = ['queue.number', 'queue.max-length', 'state-directory', 'limits.replay-entries']
      assert.deepEqual(needsRestart, names)
      assert.equal((await scene.controller.status()).queue.number, scene.config.queue.number)
    }
    assert.deepEqual((await scene.controller.reload(scene.config)).needsRestart, [])
    await scene.controller.stop()
  })
})

describe('Controller, as time goes by', () => {
  const minute = 60_000
  let scene: Scene
  afterEach(() => mock.timers.reset())

  async function pass(milliseconds: number, step = 5000): Promise<void> {
    for (let gone = 0; gone < milliseconds; gone += step) {
      scene.now += step
      mock.timers.tick(step)
      await settle()
    }
  }
  async function begin(services: readonly ServiceSpec[], credentials?: string): Promise<void> {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
    scene = new Scene(services, configOf(credentials))
    await scene.start()
  }

  it('a turn of the hour that failed is tried again', async () => {
    await begin([ssh], rotating)
    const before = await scene.knockPorts()
    scene.trouble = new Error('another pkctl has been changing the ruleset for 30 s')
    await pass(6 * minute)
    assert.equal(await scene.knockPorts(), before)
    const errors = scene.said.filter(line => /of this hour could not .* tried again: another pkctl/.test(line)).length
    assert.ok(errors > 3 && errors < 15, `${errors} times`)
    scene.trouble = undefined
    await pass(2 * minute)
    const at11 = await scene.knockPorts()
    assert.notEqual(at11, before)
    await pass(60 * minute)
    assert.notEqual(await scene.knockPorts(), at11, 'and the next turn comes in its time')
    await scene.controller.stop()
  })

  it('a clock that is set, ahead or back, is noticed soon', async () => {
    await begin([ssh], rotating)
    const before = await scene.knockPorts()
    scene.now += 5 * 60 * minute
    await pass(30_000)
    const ahead = await scene.knockPorts()
    assert.notEqual(ahead, before)
    scene.now -= 5 * 60 * minute + 40_000
    await pass(30_000)
    assert.equal(await scene.knockPorts(), before)
    await scene.controller.stop()
  })

  it('when the rules cannot be removed at the end, the worker stops all the same', async () => {
    await begin([ssh])
    scene.trouble = new Error('another pkctl has been changing the ruleset for 30 s')
    await assert.rejects(scene.controller.stop(), /another pkctl/)
    assert.deepEqual(scene.stopped, ['worker', 'triggers', 'signed grants'])
  })

  it('the heartbeat for fail-open services goes on, also when the first one failed', async () => {
    await begin([{ ...ssh, failOpen: true }])
    const alive = async () => (await scene.nft.list()).sets.get('alive')?.elements.length ?? 0
    assert.ok((await alive()) > 0)
    await pass(minute)
    assert.ok((await alive()) > 0)

    // What is told alone, that is.
    scene.before = commands => {
      if (commands.length === 3 && JSON.stringify(commands[0]).includes('alive')) throw new Error('no')
    }
    await scene.nft.apply([deleteTable()])
    scene.tell('delete', 'table')
    await settle()
    assert.ok((await alive()) > 0, 'with the table itself')
    scene.before = () => undefined
    await pass(minute)
    assert.ok((await alive()) > 0)
    assert.equal((await scene.controller.status()).healed, 1)
    await scene.controller.stop()
  })

  for (const [what, services, credentials] of [
    ['fail-open services', [{ ...ssh, failOpen: true }], undefined],
    ['rotating sequences', [ssh], rotating],
  ] as const) {
    it(`nothing is waited for after the end, though ${what} were just being installed`, async () => {
      await begin(services, credentials)
      const refreshed = scene.controller.refresh()
      await scene.controller.stop()
      await refreshed
      const { length } = scene.nft.applied
      const lines = scene.said.length
      await pass(70 * minute, minute)
      assert.deepEqual([scene.nft.applied.length, scene.said.length], [length, lines], scene.said.join('\n'))
    })
  }
})

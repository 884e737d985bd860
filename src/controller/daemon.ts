/**
 * The daemon's life: bind the queue, put the ruleset in place, report what the packet path decides, reload, answer
 * questions, go. Nothing here is on the packet path.
 */
import type { Config, Credential } from '../config/types.js'
import type { OneTimeList } from '../knock/one-time.js'
import { fewLeft } from '../knock/one-time.js'
import { oboUdpLength } from '../knock/pkd-on-behalf.js'
import { udpLength } from '../knock/pkd.js'
import type { FirewallError } from '../nft/errors.js'
import type { Change, Firewall } from '../nft/reconcile/firewall.js'
import type { Reconciliation } from '../nft/reconcile/reconciler.js'
import type { GrantAction, Marks, PacketPathSpec } from '../nft/table/packet-path.js'
import type { ServiceSpec } from '../nft/table/service-spec.js'
import type { QueueStatistics } from '../queue/statistics.js'
import type { ActiveCredential, ReadOneTime } from './active-credentials.js'
import {
  activeCredentials,
  grantRequestOf,
  packetCredential,
  packetSequence,
  sequencePortsOf,
} from './active-credentials.js'
import type { ReconcileParts } from './drift-watcher.js'
import { DriftWatcher } from './drift-watcher.js'
import { Heartbeat } from './heartbeat.js'
import type { CounterName, Counters, Effect, KnockEvent, SequenceProgress, Suppressed } from './knock-events.js'
import type { Granted } from './log-messages.js'
import { knockMessage } from './log-messages.js'
import type { Log } from './log.js'
import type { Allocation } from './mark-allocator.js'
import { MarkAllocator } from './mark-allocator.js'
import { OnBehalfGrants } from './on-behalf-grants.js'
import { RotationTimer } from './rotation-timer.js'
import type { PacketSequence } from './sequence-verifier.js'
import type { Status } from './status.js'
import type { Triggers } from './triggers.js'
import type { PacketCredential } from './verifier.js'
import { refusals } from './verifier.js'

/** How often to begin again where somebody takes the table away at just that moment. */
const installAttempts = 3

/** The packet path in its own thread. */
export interface PacketWorker {
  readonly counters: Counters
  /** Judges by these credentials from now on. */
  configure(credentials: readonly PacketCredential[], sequences: readonly PacketSequence[]): Promise<void>
  /** The sources in the middle of a sequence. */
  midway(): Promise<readonly SequenceProgress[]>
  /** Resolves when the thread has answered: it takes part in things. */
  answers(): Promise<void>
  /** Answers what is in flight, and ends. */
  stop(): Promise<void>
}

export interface PacketWorkerEvents {
  knocks(events: readonly KnockEvent[], suppressed: Suppressed): void
  effects(effects: readonly Effect[]): void
  trouble(level: 'error' | 'warn', message: string): void
  /** The thread ended and was not asked to. */
  died(error: Error): void
}

export interface DaemonParts {
  readonly version: string
  readonly log: Log
  readonly firewall: Firewall
  readonly triggers: Triggers
  readonly readOneTime: ReadOneTime
  readonly marks: Marks
  readonly healing: ReconcileParts
  readonly startPath: (config: Config, events: PacketWorkerEvents) => Promise<PacketWorker>
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Unix milliseconds. */
  readonly now: () => number
  /** A whole number below its argument. */
  readonly random: (below: number) => number
  /** Called when the daemon cannot go on. */
  readonly onFatal: (error: Error) => void
}

export class Daemon {
  readonly #parts: DaemonParts
  readonly #plans: MarkAllocator
  readonly #driftWatcher: DriftWatcher
  readonly #heartbeat: Heartbeat
  readonly #renewal: RotationTimer
  readonly #onBehalf: OnBehalfGrants
  #config: Config
  /** Bound at the start, and for good. */
  readonly #queue: number
  /** What the kernel grants, by credential. */
  #granted: ReadonlyMap<string, Granted> = new Map()
  #path: PacketWorker | undefined
  #nativeQueue = false
  #isEnding = false
  #startedAt = 0
  /** Unix milliseconds. */
  #configuredAt = 0
  /** Changes of the ruleset one after the other: each reads it first. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(config: Config, parts: DaemonParts) {
    this.#config = config
    this.#parts = parts
    this.#plans = new MarkAllocator(parts.marks.maxActions, parts.random)
    this.#queue = config.queue.number
    this.#configuredAt = parts.now()
    this.#heartbeat = new Heartbeat(parts.firewall, parts.log)
    this.#renewal = new RotationTimer(
      () => this.refresh(),
      () => parts.now() / 1000,
      parts.log,
    )
    this.#onBehalf = new OnBehalfGrants(parts.firewall, parts.triggers, parts.log, name => this.#granted.get(name))
    this.#driftWatcher = new DriftWatcher(parts.healing, parts.log, queueRule =>
      this.#inTurn(() => this.#mend(queueRule)),
    )
  }

  /** Resolves when knocks are answered. Throws with nothing changed when the queue or the ruleset cannot be had. */
  async start(): Promise<void> {
    const { firewall, startPath, log, now } = this.#parts
    this.#startedAt = now()
    this.#nativeQueue = (await firewall.probe('input')).nativeQueue
    await this.#refuseSecond()
    this.#path = await startPath(this.#config, {
      knocks: (events, suppressed) => {
        this.#report(events, suppressed)
      },
      effects: effects => {
        for (const effect of effects) this.#follow(effect)
      },
      trouble: (level, message) => {
        log[level](message)
      },
      died: error => {
        this.#parts.onFatal(error)
      },
    })
    try {
      await this.#install(this.#config, this.#config.services)
    } catch (error) {
      this.halt()
      await this.#path.stop()
      throw error
    }
    this.#driftWatcher.start(!this.#nativeQueue)
    log.info(`listening on queue ${this.#queue} ${this.#queueWay()}`, {
      queue: this.#queue,
      native: this.#nativeQueue,
    })
  }

  /** Goes over to a new configuration, which is valid; when the kernel refuses it, the old one stays in force. */
  reload(config: Config): Promise<Change> {
    const readAt = this.#parts.now()
    return this.#inTurn(async () => {
      const before = this.#config
      const change = await this.#mendAndInstall(config)
      this.#config = config
      this.#configuredAt = readAt
      await this.#warnOfOrphans(before, config)
      this.#warnOfRestart(before, config)
      return change
    })
  }

  /** Looks at the services in the kernel again, after a command changed them. */
  refresh(): Promise<Change> {
    return this.#inTurn(() => this.#mendAndInstall(this.#config, []))
  }

  /** Resolves when the packet path has answered, too. */
  async answers(): Promise<void> {
    await this.#path?.answers()
  }

  async status(): Promise<Status> {
    const { firewall, queueStatistics, version, now } = this.#parts
    const number = this.#queue
    const counters = this.#path?.counters
    const count = (name: CounterName) => counters?.get(name) ?? 0
    const { services, unanswered } = await firewall.overview()
    const { waiting } = queueStatistics(number) ?? { waiting: null }
    return {
      version,
      pid: process.pid,
      uptimeSeconds: Math.floor((now() - this.#startedAt) / 1000),
      config: this.#config.file,
      configuredAt: this.#configuredAt / 1000,
      queue: { number, native: this.#nativeQueue, waiting, unanswered },
      services: [...services.values()].map(({ spec, grants }) => ({ name: spec.name, grants: grants.length })),
      credentials: this.#config.credentials.filter(credential => credential.enabled).length,
      knocks: {
        accepted: count('accepted'),
        refused: Object.fromEntries(
          refusals.map(reason => [reason, count(reason)] as const).filter(([, n]) => n !== 0),
        ),
      },
      waitedConnections: count('pending'),
      healed: this.#driftWatcher.healed,
      watched: this.#driftWatcher.watched,
      strayPackets: count('stray'),
    }
  }

  /** Lets no more knocks out of the kernel, answers those that are out, and goes. Ports stay closed, grants run on. */
  async stop(): Promise<void> {
    const gone = this.#inTurn(async () => {
      try {
        await this.#parts.firewall.quiesce()
      } finally {
        // Whatever else fails: nobody listens any more.
        await this.#path?.stop()
      }
      await this.#parts.firewall.uninstall()
    })
    this.halt()
    try {
      await gone
    } finally {
      // Not before: while knocks are answered, their commands have to be run or noted.
      await this.#parts.triggers.stop()
    }
    this.#parts.log.info('stopped; protected ports stay closed, running grants stay valid until they end')
  }

  /** Begins nothing any more, and waits for nothing; what is under way goes on to its end. */
  halt(): void {
    this.#isEnding = true
    this.#renewal.stop()
    this.#heartbeat.stop()
    this.#driftWatcher.stop()
  }

  /** Says in the log who is let in. */
  async logGrants(): Promise<void> {
    const services = [...(await this.#parts.firewall.services()).values()]
    const grants = services.flatMap(({ spec, grants }) => grants.map(grant => ({ service: spec.name, ...grant })))
    this.#parts.log.info(`${grants.length} grants run`)
    for (const { service, source, secondsLeft } of grants) {
      const end = secondsLeft === null ? 'without end' : `for ${secondsLeft} s`
      this.#parts.log.info(`${source} is let in to ${service} ${end}`, { source, service })
    }
  }

  /** Says in the log who is in the middle of a sequence. */
  async logMidway(): Promise<void> {
    const sources = (await this.#path?.midway()) ?? []
    this.#parts.log.info(`${sources.length} sequences are under way`)
    for (const { address, credential, made, of } of sources) {
      const message = `${address} has made ${made} of ${of} knocks of ${credential}`
      this.#parts.log.info(message, { source: address, credential })
    }
  }

  // Two in one place would take each other's packet path away, and both would believe to be fine.
  async #refuseSecond(): Promise<void> {
    const queue = await this.#parts.firewall.queueInUse()
    if (queue === undefined || queue === this.#queue || !this.#parts.queueStatistics(queue)) return
    throw new Error(`another pkctld listens on queue ${queue} here`)
  }

  async #install(config: Config, specs: readonly ServiceSpec[]): Promise<Change> {
    const { firewall, log, healing } = this.#parts
    const drawn = this.#draw(config)
    const change = await firewall.install(specs, drawn.packetPathFor, healing.reconciler.table)
    await drawn.settle()
    const made = drawn.made()
    if (made) await healing.reconciler.adopt(change.commands, made.services, made.packetPath)
    for (const detail of change.details) log.info(detail)
    return change
  }

  /** Puts back what somebody else took away. */
  async #mend(queueRule: boolean): Promise<Reconciliation> {
    const drawn = this.#draw(this.#config)
    const mending = await this.#parts.healing.reconciler.reconcile(drawn.packetPathFor, queueRule)
    await drawn.settle()
    return mending
  }

  /** What somebody else did to the table a moment ago must not be taken for what should be there from now on. */
  async #mendAndInstall(config: Config, specs: readonly ServiceSpec[] = config.services): Promise<Change> {
    for (let attempt = 1; ; attempt++) {
      this.#driftWatcher.mended(await this.#mend(false))
      try {
        return await this.#install(config, specs)
      } catch (error) {
        // It happened between the two.
        const again = (error as Partial<FirewallError>).kind === 'replaced' && attempt < installAttempts
        if (!again) throw error
      }
    }
  }

  /** The packet path for the services that there are; `settle` makes it count when the kernel has it. */
  #draw(config: Config) {
    const enabled = config.credentials.filter(credential => credential.enabled)
    let made:
      | {
          active: ActiveCredential[]
          drawing: Allocation
          packetPath: PacketPathSpec
          services: ReadonlyMap<string, ServiceSpec>
        }
      | undefined
    return {
      packetPathFor: (services: ReadonlyMap<string, ServiceSpec>) => {
        const active = activeCredentials(enabled, this.#parts.now() / 1000, file => this.#oneTime(file))
        const drawing = this.#plans.allocate(active.map(grantRequestOf), services)
        made = { active, drawing, services, packetPath: this.#packetPath(config, active, drawing.actions, services) }
        return made.packetPath
      },
      made: () => made,
      settle: async () => {
        if (!made) return
        const { active } = made
        const { actionOf, actions, commit } = made.drawing
        commit()
        this.#parts.healing.book.useActions(actions)
        const planned = active.map((one, i) => ({ one, plan: actionOf[i] as GrantAction }))
        await this.#path?.configure(
          planned.flatMap(({ one, plan }) => (one.kind === 'pkd' ? [packetCredential(one, plan.number)] : [])),
          planned.flatMap(({ one, plan }) => (one.kind === 'steps' ? [packetSequence(one, plan)] : [])),
        )
        this.#parts.triggers.configure(config.credentials, made.services, config.limits)
        this.#granted = new Map(planned.map(({ one, plan }) => [one.credential.name, plan.grants]))
        this.#warnOfMissing(enabled)
        if (this.#isEnding) return
        this.#renewal.waitForTurn(enabled)
        if ([...made.services.values()].some(({ failOpen }) => failOpen)) await this.#heartbeat.start()
        else this.#heartbeat.stop()
      },
    }
  }

  #packetPath(
    config: Config,
    active: readonly ActiveCredential[],
    actions: PacketPathSpec['actions'],
    services: ReadonlyMap<string, ServiceSpec>,
  ): PacketPathSpec {
    const opened = active.flatMap(({ credential: { opens, closes } }) =>
      [...opens, ...closes].flatMap(name => services.get(name) ?? []),
    )
    const pkd = active.flatMap(one => (one.kind === 'pkd' ? [one.credential] : []))
    return {
      // Earlier is right for both: a grant made before routing is there when the packet comes to the input hook.
      hook: opened.some(({ hook }) => hook === 'prerouting') ? 'prerouting' : 'input',
      queue: this.#queue,
      native: this.#nativeQueue,
      marks: this.#parts.marks,
      shapes: pkd.flatMap(({ tag, port, onBehalfOf }) =>
        [udpLength, ...(onBehalfOf.length > 0 ? [oboUdpLength] : [])].map(length => ({
          udpLength: length,
          firstWord: tag.readUInt32BE(0),
          port,
        })),
      ),
      sequencePorts: sequencePortsOf(active, config.openPorts),
      actions,
      perSourceLimit: config.limits.perSource,
      excessLimit: config.limits.excess,
      totalLimit: config.limits.total,
    }
  }

  /** What follows a decision, outside of the packet path. */
  #follow(effect: Effect): void {
    const { triggers } = this.#parts
    const { kind, credential } = effect
    if (kind === 'opened') triggers.opened(credential, effect.address)
    else if (kind === 'closed') triggers.closed(credential, effect.address)
    else if (kind === 'on-behalf') this.#onBehalf.request(credential, effect.address)
    else void this.#nextSequence(credential)
  }

  async #nextSequence(credential: string): Promise<void> {
    if (!(await this.#renewal.at(`the next sequence of ${credential} could not be put in place`))) return
    this.#parts.log.info(`a sequence of ${credential} is used up; from now on the next one counts`, { credential })
  }

  #oneTime(file: string): OneTimeList {
    const { log, readOneTime } = this.#parts
    try {
      const list = readOneTime(file)
      const left = list.unused.length
      if (left < fewLeft)
        log.warn(left === 0 ? `${file} has no sequence left` : `${file} has only ${left} sequences left`)
      return list
    } catch (error) {
      log.error(`the sequences of ${file} cannot be read, and nobody can knock by them: ${(error as Error).message}`)
      return { unused: [] }
    }
  }

  #report(events: readonly KnockEvent[], { strangers, others }: Suppressed): void {
    const { log } = this.#parts
    for (const event of events) {
      const { level, message, fields } = knockMessage(event, this.#granted.get(event.credential ?? '') ?? [])
      log[level](message, fields)
    }
    if (others > 0) log.info(`and ${others} more knocks, too many to name`, { suppressed: others })
    if (strangers > 0) log.debug(`and ${strangers} more wrong knocks, too many to name`, { suppressed: strangers })
  }

  #warnOfMissing(credentials: readonly Credential[]): void {
    for (const { name, opens, closes } of credentials) {
      const there = this.#granted.get(name)?.map(({ service }) => service.name)
      const missing = [...opens, ...closes].filter(service => !there?.includes(service))
      if (missing.length === 0) continue
      this.#parts.log.warn(
        `credential ${name} ${opens.length > 0 ? 'opens' : 'closes'} ${missing.join(', ')}, which does not exist: add it to the configuration, or make it with pkctl init`,
        { credential: name },
      )
    }
  }

  // Taking a service out of a file must not open a port by the way.
  async #warnOfOrphans(before: Config, after: Config): Promise<void> {
    const kept = new Set(after.services.map(({ name }) => name))
    const services = await this.#parts.firewall.services()
    for (const { name } of before.services.filter(service => !kept.has(service.name) && services.has(service.name))) {
      this.#parts.log.warn(
        `service ${name} is no longer in the configuration; its port stays closed until pkctl remove ${name}`,
        { service: name },
      )
    }
  }

  #warnOfRestart(before: Config, after: Config): void {
    const fixed = (config: Config) => {
      const { replayEntries, anyClockEntries } = config.limits
      const { queue, marks, stateDirectory, socket } = config
      return JSON.stringify([queue, marks, stateDirectory, socket, replayEntries, anyClockEntries])
    }
    if (fixed(before) === fixed(after)) return
    this.#parts.log.warn(
      'changes of queue, marks, state-directory, socket, and the numbers of entries take effect after a restart',
    )
  }

  #queueWay(): string {
    return this.#nativeQueue
      ? "by nft's queue statement"
      : 'by a rule of iptables-nft, for this kernel has no queue statement in nft'
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    // What came after the end would put back what has just been taken away.
    if (this.#isEnding) return Promise.reject(new Error('the daemon is about to end'))
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

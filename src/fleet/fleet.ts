/**
 * One server of a fleet: tells the others what was granted and revoked here, and gives the kernel what the others say. Nothing that a
 * knock needs waits for any of it. While the engine is away, what is to be told is kept, and what comes back is read from where this
 * server was; an engine that has forgotten it all gets it again from those who made it.
 */
import type { ClaimStatus } from './claim.js'
import type { Engine, EngineEvents, Entry } from './engine.js'
import { isBefore } from './engine.js'
import { isLinkLocal, splitPrefix } from '../net/index.js'
import type { FleetReport } from './complaints.js'
import { Complaints } from './complaints.js'
import type { FleetAnswer, FleetStatus, FleetTold } from './fleet-status.js'
import type { Hello } from './hello.js'
import { helloText, readHello } from './hello.js'
import type { FleetChange } from './kernel-changes.js'
import { KernelChanges } from './kernel-changes.js'
import type { GrantedBy, GrantMessage, Group, MessageLimits } from './message.js'
import { decodeMessage } from './message.js'
import { Nodes } from './nodes.js'
import type { WaitingStore } from './outbox-file.js'
import type { Unsent } from './outbox.js'
import { Sending } from './sending.js'
import { SharedGrants } from './shared-grants.js'

interface FleetSettings {
  readonly node: string
  readonly group: Group
  /** Services of which the others hear. */
  readonly share: readonly string[]
  /** Services of which this server believes the others. */
  readonly accept: readonly string[]
  readonly mostPerNode: number
  readonly longestWindowSeconds: number
}

interface FleetParts {
  /** Of pkctl. */
  readonly version: string
  readonly store: WaitingStore
  readonly openEngine: (events: EngineEvents) => Engine
  /** What the service grants with an address: a prefix, or the address alone. */
  readonly sourceOf: (service: string, address: string) => string
  /** How many bits of an address the service grants together, such as 24/64. */
  readonly prefixesOf: (service: string) => string
  /** Of knocks that count on one server alone; null where there are none. */
  readonly claims: () => ClaimStatus | null
  readonly apply: (changes: readonly FleetChange[]) => Promise<void>
  readonly report: FleetReport
  /** Unix milliseconds. */
  readonly now: () => number
}

const helloMilliseconds = 5000
/** How far the clock of another node can be ahead. */
const aheadMilliseconds = 30_000
/** Entries stay for longer than the longest grant, for servers whose clocks differ. */
const keptMilliseconds = 60_000

export class Fleet {
  readonly #settings: FleetSettings
  readonly #parts: FleetParts
  readonly #words: SharedGrants
  readonly #sending: Sending
  readonly #nodes: Nodes
  readonly #kernel: KernelChanges
  readonly #engine: Engine
  readonly #epoch: number
  readonly #complaints: Complaints
  #state: FleetStatus['engine'] = 'connecting'
  #because = ''
  #since: number
  #received = 0
  #isLive = false
  #nameTaken = false
  #latestEntryTime = 0
  #hello: NodeJS.Timeout | undefined

  constructor(settings: FleetSettings, parts: FleetParts) {
    this.#settings = settings
    this.#parts = parts
    const { node, mostPerNode, longestWindowSeconds } = settings
    this.#epoch = this.#since = parts.now()
    this.#words = new SharedGrants({
      mostPerNode,
      longestWindow: longestWindowSeconds * 1000,
      tolerance: aheadMilliseconds,
    })
    this.#nodes = new Nodes(node)
    this.#complaints = new Complaints(parts.report)
    this.#kernel = new KernelChanges({
      ...{ words: this.#words, own: node, longestWindowSeconds, apply: parts.apply, now: parts.now },
      onTrouble: message => {
        this.#complaints.tell('kernel', `what other servers of the fleet have granted could not be added: ${message}`)
      },
    })
    this.#engine = parts.openEngine({
      onEntries: (entries, isAll) => {
        this.#take(entries, isAll)
      },
      onReady: () => {
        this.#becomeReady()
      },
      onAway: reason => {
        this.#becomeAway(reason)
      },
      onForgotten: () => {
        this.#parts.report('warn', 'the engine of the fleet has lost messages; this server sends its own again', {
          event: 'fleet-engine',
        })
        this.#isLive = false
        this.#sendAgain(() => true)
      },
    })
    this.#sending = new Sending({
      ...{ node, group: settings.group, epoch: this.#epoch, now: parts.now, store: parts.store },
      send: texts => this.#engine.send(texts),
      onSent: () => {
        if (this.#state === 'away') this.#becomeReady()
      },
      onTrouble: reason => {
        this.#becomeAway(reason)
      },
    })
  }

  start(): void {
    for (const word of this.#parts.store.recall(this.#limits())) {
      const message = { ...word, ...{ node: this.#settings.node, epoch: this.#epoch, sequence: 0 } }
      if (this.#words.take(message, this.#parts.now()) === 'counts') this.#sending.tell(word)
    }
    this.#engine.start()
    this.#hello = setInterval(() => {
      void this.#sayHello()
    }, helloMilliseconds)
  }

  async stop(): Promise<void> {
    clearInterval(this.#hello)
    this.#sending.stop()
    this.#kernel.stop()
    await this.#engine.stop()
  }

  /**
   * Something was granted here, until this time in Unix milliseconds. Returns at once. `isForAll`: the others are told of any
   * service.
   */
  granted(service: string, address: string, by: GrantedBy, until: number, isForAll = false): void {
    const made = this.#madeNext(service, address)
    const longest = made + this.#settings.longestWindowSeconds * 1000
    const end = Math.floor(Math.min(until, longest))
    this.#note({ kind: 'grant', service, source: address, by, made, until: end }, isForAll)
  }

  /** Something was revoked here: with `hand`, all that the address had. Returns at once. */
  revoked(service: string, address: string, by: GrantedBy, isForAll = false): void {
    const made = this.#madeNext(service, address)
    const until = made + this.#settings.longestWindowSeconds * 1000
    this.#note({ kind: 'revoke', service, source: address, by, made, until }, isForAll)
    // What others have granted the address here ends as well.
    this.#kernel.flush()
  }

  /** Whether the fleet knows of a grant that runs, be it in the kernel or not. */
  hasGrant(service: string, address: string): boolean {
    const source = this.#parts.sourceOf(service, address)
    return this.#words.grantOf(service, source, this.#parts.now()) !== undefined
  }

  /** Resolves when the engine has all that is to be told, or after this time. */
  async told(milliseconds: number): Promise<FleetTold> {
    const told = await this.#sending.settled(milliseconds)
    const because = this.#because || 'it does not answer'
    return { group: this.#settings.group.name, told, because: told ? '' : because }
  }

  status(): FleetStatus {
    const { group, node, share, accept } = this.#settings
    const running = this.#runningBy()
    return {
      ...{ version: this.#parts.version, group: group.name, node, share, accept },
      ...{ engine: this.#state, because: this.#because, since: this.#since },
      ...{ nodes: this.#nodes.others(), own: this.#ownHello(), claims: this.#parts.claims() },
      ...{ foreignGrants: running.foreign, ownGrants: running.own },
      ...this.#sending.counts,
      ...{ received: this.#received, nameTaken: this.#nameTaken, refused: this.#complaints.refused },
    }
  }

  answer(): FleetAnswer {
    const now = this.#parts.now()
    const grants = [...this.#words.running(now)].map(({ service, source, by, node, until }) => ({
      ...{ service, source, by, node },
      secondsLeft: Math.ceil((until - now) / 1000),
      until: new Date(until).toISOString(),
    }))
    return { status: this.status(), grants }
  }

  #runningBy(): { own: number; foreign: number } {
    const counts = { own: 0, foreign: 0 }
    for (const { node } of this.#words.running(this.#parts.now()))
      counts[node === this.#settings.node ? 'own' : 'foreign']++
    return counts
  }

  #madeNext(service: string, address: string): number {
    return this.#words.madeNext(service, this.#parts.sourceOf(service, address), this.#parts.now())
  }

  #note(unsent: Unsent, isForAll: boolean): void {
    const { service } = unsent
    const { share, accept, node } = this.#settings
    const told = { ...unsent, source: this.#parts.sourceOf(service, unsent.source) }
    const isTakenBack = unsent.kind === 'revoke' && this.#sending.hasTold(service, told.source)
    const isShared = isForAll || share.includes(service) || isTakenBack
    if ((!isShared && !accept.includes(service)) || isLinkLocal(splitPrefix(told.source).address)) return
    // Its number comes with the sending; it is later than all before it as it is.
    const message = { ...told, node, epoch: this.#epoch }
    const result = this.#words.take({ ...message, sequence: Number.MAX_SAFE_INTEGER }, this.#parts.now())
    if (message.kind === 'revoke') this.#kernel.add(message)
    else if (result === 'counts') {
      this.#kernel.grantedHere(message)
      this.#kernel.flush()
    }
    if (!isShared) return
    if (result === 'too-many') {
      this.#complaints.refuse('too-many', node)
      return
    }
    this.#sending.tell(told)
  }

  #take(entries: readonly Entry[], isAll: boolean): void {
    for (const entry of entries) this.#takeOne(entry)
    if (isAll) this.#isLive = true
    this.#kernel.flush()
  }

  #takeOne({ id, text }: Entry): void {
    const { group, node } = this.#settings
    const limits = this.#limits()
    const { now } = limits
    const message = decodeMessage(text, group, limits)
    this.#received++
    if (typeof message === 'string') {
      this.#complaints.refuse(message, undefined)
      return
    }
    const entryTime = Number(id.split('-')[0])
    this.#latestEntryTime = Math.max(this.#latestEntryTime, entryTime)
    const hello = message.kind === 'hello' ? readHello(message.text) : undefined
    this.#nodes.heard(message, hello, entryTime, now, this.#isLive)
    if (hello && this.#isLive && message.node !== node) this.#nodes.compare(message.node, hello, this.#ownHello(), now)
    if (message.node === node && message.epoch !== this.#epoch && message.made > this.#epoch + aheadMilliseconds)
      this.#takeName()
    if (message.kind !== 'hello') this.#takeWord(message, id, now)
  }

  #limits(): MessageLimits {
    const longestWindow = this.#settings.longestWindowSeconds * 1000
    return { now: this.#parts.now(), ahead: aheadMilliseconds, longestWindow }
  }

  #takeWord(message: GrantMessage, id: string, now: number): void {
    const { accept, node } = this.#settings
    const { service } = message
    const isOwn = message.node === node
    if (!accept.includes(service) && !isOwn) {
      this.#complaints.refuse('not-accepted', message.node)
      return
    }
    // What is over holds back earlier words all the same.
    if (message.until <= now) this.#complaints.refuse('over', undefined)
    const source = this.#parts.sourceOf(service, message.source)
    const result = this.#words.take({ ...message, source }, now)
    if (result === 'too-many') this.#complaints.refuse('too-many', message.node)
    // Also what this server made before a restart.
    if (isOwn) this.#sending.noteEntry(message, id)
    else if (result === 'counts') this.#kernel.add({ service, source })
  }

  #takeName(): void {
    this.#nameTaken = true
    const { node } = this.#settings
    this.#complaints.tell('name', `another server of the fleet has the name ${node}, too; each needs a name of its own`)
  }

  #becomeReady(): void {
    if (this.#state === 'connected') return
    const { group, node } = this.#settings
    this.#change('connected', '')
    this.#parts.report('info', `connected to the engine of the fleet ${group.name}, as ${node}`, {
      event: 'fleet-engine',
    })
    void this.#sayHello()
    this.#sending.open()
  }

  #becomeAway(reason: string): void {
    if (this.#state === 'away' && this.#because === reason) return
    const isNews = this.#state !== 'away'
    this.#change('away', reason)
    const what = 'the engine of the fleet is away; knocks work, and the other servers hear of them later'
    if (isNews) this.#parts.report('warn', `${what}: ${reason}`, { event: 'fleet-engine' })
    this.#isLive = false
    this.#sending.open()
  }

  #change(state: FleetStatus['engine'], because: string): void {
    if (state !== this.#state) this.#since = this.#parts.now()
    this.#state = state
    this.#because = because
  }

  async #sayHello(): Promise<void> {
    const now = this.#parts.now()
    this.#words.tidy(now)
    this.#sending.forgetOver(now)
    if (this.#state !== 'connected') return
    const { longestWindowSeconds } = this.#settings
    this.#sending.sayHello(helloText(this.#ownHello()))
    try {
      const before = this.#latestEntryTime - longestWindowSeconds * 1000 - keptMilliseconds
      if (before > 0) await this.#engine.trim(before)
      const first = await this.#engine.first()
      this.#sendAgain(id => first === undefined || isBefore(id, first))
    } catch (error) {
      // That it is away is said elsewhere.
      const { message } = error as Error
      if (/^[A-Z]{2,} /.test(message))
        this.#complaints.tell('trim', `the engine of the fleet keeps what is over, which it should forget: ${message}`)
    }
  }

  #ownHello(): Hello {
    const { share, accept, longestWindowSeconds } = this.#settings
    const { own, foreign } = this.#runningBy()
    const prefixes = [...new Set([...share, ...accept])].map(service => [service, this.#parts.prefixesOf(service)])
    return {
      ...{ version: this.#parts.version, share, accept, grants: own + foreign },
      ...{ window: longestWindowSeconds, prefixes: Object.fromEntries(prefixes) as Record<string, string> },
    }
  }

  /** Tells again what the engine does not have any more, of what this server has made. */
  #sendAgain(isLost: (id: string) => boolean): void {
    this.#sending.tellAgain(this.#words.by(this.#settings.node), isLost)
  }
}

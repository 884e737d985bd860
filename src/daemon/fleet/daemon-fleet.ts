/**
 * The fleet of this daemon: what is granted and revoked here goes out, and what comes in goes to the kernel. Loaded only where the
 * configuration has a fleet, and after the grants, which never wait for it.
 */
import type { Config, FleetConfig } from '../../config/types.js'
import type { ClaimResult, KnockClaim, KnockGrantStore, Log, TriggerSchedule } from '../../controller/index.js'
import type { FleetChange, FleetTold } from '../../fleet/index.js'
import { Claims, EngineClaims, Fleet, OutboxFile, RedisEngine } from '../../fleet/index.js'
import { bitsOf, isLinkLocal, maskAddress, splitPrefix } from '../../net/index.js'
import type { Firewall, ServiceSpec } from '../../nft/index.js'
import { fleetComment, grantPrefix, steadySeconds } from '../../nft/index.js'
import { count, UserError } from '../../util/index.js'

export type GrantStore = Pick<KnockGrantStore, 'note' | 'end' | 'forget' | 'running' | 'close'>

interface DaemonFleetParts {
  readonly version: string
  readonly store: GrantStore
  readonly firewall: Pick<Firewall, 'changeShared'>
  readonly triggers: Pick<TriggerSchedule, 'closed'>
  readonly log: Log
}

/** A change that a command asks the whole fleet to make. Resolves when the engine has it, or is not waited for any longer. */
interface Sharing {
  readonly added: (seconds: number | null) => Promise<FleetTold>
  readonly deleted: () => Promise<FleetTold>
}

/** A person waits. */
const tellMilliseconds = 3000

/** Of more changes than this at once, the log has one line. */
const mostLines = 20

export class DaemonFleet {
  readonly fleet: Fleet
  /** Notes what the store is told, for the others. */
  readonly store: GrantStore
  readonly #parts: DaemonFleetParts
  readonly #settings: FleetConfig
  /** From when it is needed. */
  #claims: { readonly claims: Claims; readonly engine: EngineClaims } | undefined
  #hasStopped = false
  #specs: ReadonlyMap<string, ServiceSpec>

  constructor(settings: FleetConfig, { services, credentials, stateDirectory }: Config, parts: DaemonFleetParts) {
    const { store, log, version } = parts
    this.#parts = parts
    this.#settings = settings
    if (credentials.some(credential => 'once' in credential)) this.#claims = this.#openClaims()
    this.#specs = new Map(services.map(spec => [spec.name, spec]))
    this.fleet = new Fleet(settings, {
      version,
      store: new OutboxFile(stateDirectory, {
        ...{ node: settings.node, group: settings.group },
        report: message => {
          log.error(message)
        },
      }),
      prefixesOf: service => this.#prefixesOf(service),
      claims: () => this.#claims?.claims.status() ?? null,
      openEngine: events => new RedisEngine(settings.engine, settings.group.name, events),
      sourceOf: (service, source) => this.#sourceOf(service, source),
      apply: changes => this.#apply(changes),
      report: (level, message, fields) => {
        log[level](message, fields)
      },
      now: Date.now,
    })
    this.store = {
      note: grant => {
        store.note(grant)
        this.fleet.granted(grant.service, grant.address, 'knock', Date.now() + (grant.until - steadySeconds()) * 1000)
      },
      end: (service, address, by) => {
        store.end(service, address, by)
        this.closed(service, address)
      },
      forget: grants => {
        store.forget(grants)
      },
      running: () => store.running(),
      close: () => {
        store.close()
      },
    }
  }

  /** After a reload. */
  use({ services }: Pick<Config, 'services'>): void {
    this.#specs = new Map(services.map(spec => [spec.name, spec]))
  }

  /** Claims a knock for this server: a reload can have added the first credential whose knocks are. */
  async claim(knock: KnockClaim): Promise<ClaimResult> {
    if (this.#hasStopped) return 'fleet-away'
    this.#claims ??= this.#openClaims()
    return this.#claims.claims.claim(knock)
  }

  async stop(): Promise<void> {
    this.#hasStopped = true
    this.#claims?.engine.stop()
    await this.fleet.stop()
  }

  #openClaims(): { readonly claims: Claims; readonly engine: EngineClaims } {
    const { engine: place, group } = this.#settings
    const engine = new EngineClaims(place, group.name, message => {
      this.#parts.log.warn(`knocks with 'once: group' are refused, because of the engine of the fleet: ${message}`, {
        event: 'fleet-engine',
      })
    })
    const after = (milliseconds: number, call: () => void) => {
      const timer = setTimeout(call, milliseconds)
      return () => {
        clearTimeout(timer)
      }
    }
    return { engine, claims: new Claims({ store: engine, key: group.key, now: Date.now, after }) }
  }

  /** A knock has closed what knocks have opened. */
  closed(service: string, address: string): void {
    this.fleet.revoked(service, address, 'knock')
  }

  /** A command has granted this; null is without a time limit. */
  added(service: string, source: string, seconds: number | null): void {
    this.fleet.granted(service, source, 'hand', seconds === null ? Infinity : Date.now() + seconds * 1000)
  }

  /** A command has revoked all that the source had. */
  deleted(service: string, source: string): void {
    this.fleet.revoked(service, source, 'hand')
  }

  /** Tells the others, be the service shared or not. Throws where nothing of it can be shared. */
  sharing(service: string, source: string): Sharing {
    const spec = this.#specs.get(service)
    if (spec?.singleUse)
      throw new UserError(`service ${service} has 'single-use', and what one connection uses up cannot be shared`)
    if (isLinkLocal(splitPrefix(source).address))
      throw new UserError(`${source} is link-local, and so another machine on each server`)
    const told = () => this.fleet.told(tellMilliseconds)
    return {
      added: seconds => {
        const until = seconds === null ? Infinity : Date.now() + seconds * 1000
        this.fleet.granted(service, source, 'hand', until, true)
        return told()
      },
      deleted: () => {
        this.fleet.revoked(service, source, 'hand', true)
        return told()
      },
    }
  }

  async #apply(changes: readonly FleetChange[]): Promise<void> {
    const { firewall, store } = this.#parts
    const now = Date.now()
    const revokesKnocks = changes.some(({ revokes }) => revokes.includes('knock'))
    const byHand = new Set(
      (revokesKnocks ? store.running() : [])
        .filter(({ by }) => by === 'hand')
        .map(({ service, address }) => `${service} ${this.#sourceOf(service, address)}`),
    )
    await firewall.changeShared(
      changes.map(({ service, source, grant, revokes }) => ({
        ...{ service, source, revokes, isByKnock: byHand.has(`${service} ${source}`) },
        ...(grant ? { grant: { seconds: grant.seconds, comment: fleetComment(grant.node, now) } } : {}),
      })),
    )
    this.#forgetRevoked(changes)
    this.#log(changes)
  }

  /** What knocks had opened here is closed by now. */
  #forgetRevoked(changes: readonly FleetChange[]): void {
    const { store, triggers } = this.#parts
    const revoked = new Set(
      changes.filter(one => one.revokes.includes('knock')).map(({ service, source }) => `${service} ${source}`),
    )
    if (revoked.size === 0) return
    const ended = new Map<string, { readonly credential: string; readonly address: string }>()
    for (const { credential, service, address } of store.running()) {
      if (!revoked.has(`${service} ${this.#sourceOf(service, address)}`)) continue
      store.end(service, address)
      ended.set(`${credential} ${address}`, { credential, address })
    }
    for (const { credential, address } of ended.values()) triggers.closed(credential, address)
  }

  #log(changes: readonly FleetChange[]): void {
    const { log } = this.#parts
    if (changes.length > mostLines) {
      log.info(`${count(changes.length, 'grant')} of other servers of the fleet changed`, { event: 'fleet' })
      return
    }
    for (const { service, source, grant } of changes) {
      const fields = { event: 'fleet', service, source }
      if (grant) {
        const { node, seconds } = grant
        log.info(`${source} may use ${service} for ${seconds} s, by ${node} of the fleet`, { ...fields, node, seconds })
      } else log.info(`${source} may no longer use ${service}, by the fleet`, fields)
    }
  }

  #prefixesOf(service: string): string {
    const { prefix4, prefix6 } = this.#specs.get(service) ?? { prefix4: 32, prefix6: 128 }
    return `${prefix4}/${prefix6}`
  }

  /** What the service grants with an address. */
  #sourceOf(service: string, source: string): string {
    const { version, address, length } = splitPrefix(source)
    const spec = this.#specs.get(service)
    if (!spec || length !== bitsOf(version)) return source
    const granted = grantPrefix(spec, version)
    return granted === bitsOf(version) ? address : `${maskAddress(address, granted)}/${granted}`
  }
}

/**
 * Whether the daemon owns its table. It does where nft and the kernel can keep an owned table, so that no other program changes
 * or flushes it. It does not while a file of the machine's firewall has the table in it, which the kernel would refuse to load
 * then; and what others change is restored, as it is where the table cannot be owned.
 */
import * as fs from 'node:fs'
import type { Obstacle, SavedRulesets } from '../../nft/foreign/index.js'
import type { RulesetAccess, TableOwner } from '../../nft/index.js'
import { reasonOf } from '../../util/index.js'
import type { Log } from '../report/log-interface.js'

/** `restored`: after others have changed it. `because` says why it is not owned where it could be. */
export interface TableProtection {
  readonly mode: 'owned' | 'restored'
  readonly because?: string
}

export interface OwnershipParts {
  readonly owner: Pick<TableOwner, 'owns' | 'canOwn' | 'take' | 'release' | 'onLost'>
  readonly saved: Pick<SavedRulesets, 'obstacle' | 'places'>
  readonly exclusive: RulesetAccess['exclusive']
}

/** How often files and table are looked at, when no change is noticed. */
const everyMilliseconds = 10_000
/** After a change of a file: it may be written in several steps. */
const changedMilliseconds = 20
/** How long to wait for the lock. The next look tries again. */
const lockSeconds = 5
/** For a table that is made again. */
const againMilliseconds = 200

export class TableOwnership {
  #running = false
  #timer: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  #last: Promise<void> = Promise.resolve()
  readonly #watchers = new Map<string, fs.FSWatcher>()
  #because: string | undefined
  #said = ''

  constructor(
    readonly parts: OwnershipParts,
    readonly log: Log,
    /** Has the table made again, with the flag without which it cannot be owned, or leaves it as it is. */
    readonly makeOwnable: (wanted: boolean) => void,
  ) {}

  get protection(): TableProtection {
    if (this.parts.owner.owns) return { mode: 'owned' }
    return { mode: 'restored', ...(this.#because === undefined ? {} : { because: this.#because }) }
  }

  /** Resolves when it has looked for the first time. */
  async start(): Promise<void> {
    this.#running = true
    this.parts.owner.onLost = () => {
      this.#lookSoon(againMilliseconds)
    }
    this.#timer = setInterval(() => void this.#look(), everyMilliseconds)
    this.#timer.unref()
    await this.#look()
  }

  /** Takes and gives up nothing any more. */
  stop(): void {
    this.#running = false
    clearInterval(this.#timer)
    clearTimeout(this.#soon)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  /** Leaves the table without an owner, for good. */
  async end(): Promise<void> {
    this.stop()
    await this.#last
    await this.parts.owner.release()
  }

  #look(): Promise<void> {
    return (this.#last = this.#last.then(async () => {
      if (!this.#running) return
      try {
        await this.#decide()
      } catch (error) {
        this.#because = `the table cannot be owned: ${reasonOf(error)}`
        this.#say('warn', `pkctld does not own the table inet pkctl, and restores it after changes: ${reasonOf(error)}`)
      }
    }))
  }

  #lookSoon(milliseconds: number): void {
    if (!this.#running) return
    clearTimeout(this.#soon)
    this.#soon = setTimeout(() => void this.#look(), milliseconds)
    this.#soon.unref()
  }

  async #decide(): Promise<void> {
    const { owner, saved, exclusive } = this.parts
    if (!(await owner.canOwn())) {
      this.stop()
      this.#say(
        'info',
        'the table inet pkctl is restored after changes; nft 1.1 with Linux 6.9 could keep it unchanged',
      )
      return
    }
    const obstacle = saved.obstacle()
    this.#watch(saved.places)
    this.makeOwnable(obstacle === undefined)
    if (obstacle) {
      await owner.release()
      this.#because = textOf(obstacle)
      const files = obstacle.why === 'has-table' ? 'take the table out of that file' : 'let the user of pkctld read it'
      this.#say(
        'warn',
        `pkctld does not own the table inet pkctl, and restores it after changes: ${this.#because}; ${files}`,
      )
      return
    }
    if ((await exclusive(() => owner.take(), lockSeconds)) === 'owned') {
      this.#because = undefined
      this.#say('info', 'pkctld owns the table inet pkctl: other programs can neither change nor flush it')
    } else this.#lookSoon(againMilliseconds)
  }

  /** Says it when it is something else than the last time. */
  #say(level: 'info' | 'warn', message: string): void {
    if (message === this.#said) return
    this.#said = message
    this.log[level](message, { event: 'ownership' })
  }

  #watch(places: readonly string[]): void {
    for (const place of places) {
      if (this.#watchers.has(place)) continue
      try {
        const watcher = fs.watch(place, { persistent: false }, kind => {
          // Under its name there may be another file now.
          if (kind === 'rename') drop()
          this.#lookSoon(changedMilliseconds)
        })
        const drop = () => {
          watcher.close()
          this.#watchers.delete(place)
        }
        watcher.on('error', drop)
        this.#watchers.set(place, watcher)
      } catch {
        // It is not there, or cannot be watched. What changes is seen at the next look.
      }
    }
  }
}

const textOf = ({ path, why }: Obstacle): string =>
  why === 'has-table'
    ? `${path} contains that table, and could not be loaded while it has an owner`
    : `${path} cannot be read, and may contain that table`

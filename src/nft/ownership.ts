/**
 * The daemon owns its table where nft and the kernel can keep one: through an nft session that stays. Then no other program can
 * change, delete or flush the table, and it is left as it was when the daemon ends, without an owner. Who owns the table
 * makes all changes; pkctl's commands ask the owner for theirs (see owner-request.ts).
 */
import { TimeLimitError } from '../util/index.js'
import { NftError, nftErrorFrom, noResultError } from './nft-errors.js'
import { withInlineElements } from './inline-elements.js'
import type { Command } from './nft-json.js'
import { addChain, addTable, deleteChain, family } from './nft-json.js'
import type { Nft } from './nft.js'
import { transactionSummary } from './nft.js'
import type { OpenSession, NftSession } from './nft-session.js'
import { knowsPersist, owned, withTableFlags } from './table-flags.js'

/** Why the table is not owned: it is not there, or was made without `persist`. */
type Taken = 'owned' | 'absent' | 'not-persistent'

interface OwnerEvents {
  /** The session has ended, was killed, or could not be replaced by another; another one owns the table when `isBack`. */
  readonly lost: (reason: string, isBack: boolean) => void
  /** Makes it known, or no longer, that changes have to be asked for here. May throw when it becomes known. */
  readonly announce: (owns: boolean) => void
}

/** nft keeps what it was sent, so a session that was sent more is replaced. */
const mostBytes = 16 * 1024 * 1024

export class TableOwner {
  /** Called when a session has ended, and the table could not be adopted again. */
  onLost: () => void = () => undefined
  #session: NftSession | undefined
  /** Sessions come and go one after the other, and changes wait for that. */
  #turn: Promise<unknown> = Promise.resolve()
  #canOwn: Promise<boolean> | undefined

  constructor(
    /** Changes a table that has no owner. */
    readonly direct: Nft,
    readonly open: OpenSession,
    readonly events: OwnerEvents,
  ) {}

  get owns(): boolean {
    return this.#session !== undefined
  }

  /** The kernel's ruleset, changed through the session as long as there is one. */
  get nft(): Nft {
    return {
      ...this.direct,
      apply: commands => this.#change(commands, 'apply'),
      check: commands => this.#change(commands, 'check'),
    }
  }

  /** Whether nft and the kernel keep a table when its owner ends: tried once, with a table that nothing else uses. */
  canOwn(): Promise<boolean> {
    this.#canOwn ??= this.#tryOut().catch((error: unknown) => {
      this.#canOwn = undefined
      throw error
    })
    return this.#canOwn
  }

  /** Becomes the owner of the table that is there. Rejects with an NftError. To be called with the lock. */
  take(): Promise<Taken> {
    return this.#inTurn(() => this.#adopt())
  }

  /** Leaves the table as it is, without an owner. */
  release(): Promise<void> {
    return this.#inTurn(async () => {
      const session = this.#session
      if (!session) return
      this.#session = undefined
      await session.close()
      this.events.announce(false)
    })
  }

  /** Changes the table as its owner; false when this is not the owner. Rejects with an NftError. */
  async applyOwned(commands: readonly Command[], how: 'apply' | 'check'): Promise<boolean> {
    await this.#turn
    if (!this.#session) return false
    await this.#run(this.#session, commands, how)
    return true
  }

  async #change(commands: readonly Command[], how: 'apply' | 'check'): Promise<void> {
    if (commands.length === 0) return
    if (!(await this.applyOwned(commands, how))) await this.direct[how](commands)
  }

  async #run(session: NftSession, commands: readonly Command[], how: 'apply' | 'check'): Promise<void> {
    const name = `nft${how === 'check' ? ' --check' : ''}, ${transactionSummary(commands)}`
    const wanted = owning(withInlineElements(commands))
    let complaint: string
    try {
      complaint = await session.run(name, how === 'check' ? [...wanted, ...refused] : wanted)
    } catch (error) {
      if (error instanceof TimeLimitError) void this.#replace(session, error.message)
      throw noResultError(name, 'nft', error)
    }
    if (session.bytes > mostBytes) void this.#replace(session)
    if (how === 'check' && complaint.match(/\bError: /g)?.length === refused.length) return
    if (complaint !== '') throw nftErrorFrom(name, complaint)
  }

  /**
   * Without the lock, which is most likely that of the change that waits for this. In between, the table has no owner: so the
   * next session is ready before, where the old one has not ended by itself.
   */
  #replace(session: NftSession, why?: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#session !== session) return
      const become = this.#prepared()
      this.#session = undefined
      await session.close()
      const trouble = await become().catch((error: unknown) => error as Error)
      if (trouble) this.events.announce(false)
      if (trouble ?? why) this.events.lost([why, trouble?.message].filter(Boolean).join('; '), !trouble)
      if (trouble) this.onLost()
    })
  }

  async #adopt(): Promise<Taken> {
    if (this.#session) {
      // Another program may have removed what says so.
      this.events.announce(true)
      return 'owned'
    }
    const { present, persist } = await this.direct.list({ elements: false })
    if (!present || !persist) return present ? 'not-persistent' : 'absent'
    await this.#prepared()()
    return 'owned'
  }

  /** A new session, and what makes it the owner. Where none starts, as without memory, that rejects. */
  #prepared(): () => Promise<void> {
    try {
      const session = this.open()
      const adopt = session.stage(adopting, owning(adoptPresent))
      return () => this.#become(session, adopt)
    } catch (error) {
      return () => Promise.reject(noResultError(adopting, 'nft', error))
    }
  }

  async #become(session: NftSession, adopt: () => Promise<string>): Promise<void> {
    try {
      const complaint = await adopt()
      if (complaint !== '') throw nftErrorFrom(adopting, complaint)
      // Other programs of pkctl could make no change, did they not know whom to ask.
      this.events.announce(true)
    } catch (error) {
      await session.close()
      throw error instanceof NftError ? error : noResultError(adopting, 'nft', error)
    }
    this.#session = session
    void session.ended.then(reason => this.#replace(session, reason))
  }

  async #tryOut(): Promise<boolean> {
    const { release } = await this.direct.list({ elements: false })
    // Earlier ones refuse the word. The number says no more than that.
    if (!knowsPersist(release)) return false
    const table = { family, name: `pkctl-probe-${process.pid}` }
    const session = this.open()
    try {
      const complaint = await session.run('nft, probing for persist', [{ add: { table: { ...table, flags: owned } } }])
      if (complaint !== '') {
        const refusal = nftErrorFrom('nft, probing for persist', complaint)
        // What passes, such as a want of memory, says nothing of what they can.
        if (refusal.kind !== 'unsupported') throw refusal
        return false
      }
      await session.run('nft, probing for persist', [{ delete: { table } }])
      return true
    } catch (error) {
      throw error instanceof NftError ? error : noResultError('nft, probing for persist', 'nft', error)
    } finally {
      await session.close()
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

const adopting = 'nft, adopting the table inet pkctl'

/** Refused as a whole where there is no table: an empty one, with an owner, would keep nothing closed. */
const adoptPresent: readonly Command[] = [addChain('adopting'), addTable(), deleteChain('adopting')]

const owning = (commands: readonly Command[]) => withTableFlags(commands, owned, owned)

/**
 * Ends a transaction that is only to be tried: there are no such tables, so that the kernel refuses all of it, and says what
 * else it has against it. Two, because what nft refuses itself never comes to the kernel.
 */
const refused: readonly Command[] = ['pkctl-no-1', 'pkctl-no-2'].map(name => ({ delete: { table: { family, name } } }))

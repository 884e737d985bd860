/** The changes of the ruleset that the daemon makes, one after another, because each reads the ruleset first. */
import type { Config } from '../../config/types.js'
import type { FirewallError } from '../../nft/nft-errors.js'
import type { FirewallResult, Reconciliation, ServiceSpec } from '../../nft/index.js'
import { LockError } from '../../nft/index.js'
import type { RulesetInstaller } from './ruleset-installer.js'

/** How often an installation starts again when another program deletes the table at the same moment. */
const installAttempts = 3

interface ChangeParts {
  /** Throws before the packet worker has started. */
  readonly installer: () => Pick<RulesetInstaller, 'reconcile' | 'install'>
  /** Called when the table was compared, with what came of it, or when another program keeps the lock. */
  readonly compared: (reconciliation?: Reconciliation) => void
  /** Called with what was restored before an installation. */
  readonly reconciled: (reconciliation: Reconciliation) => void
}

export class RulesetChanges {
  #hasEnded = false
  #last: Promise<unknown> = Promise.resolve()

  constructor(readonly parts: ChangeParts) {}

  /** Runs `work` after the changes that were wanted before. Rejects when `end` was called. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    // A change after the end would install again what has just been uninstalled.
    if (this.#hasEnded) return Promise.reject(new Error('the daemon is about to end'))
    const result = this.#last.then(work)
    this.#last = result.catch(() => undefined)
    return result
  }

  /** Accepts no more changes; those that were accepted are made. */
  end(): void {
    this.#hasEnded = true
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** To be called within a turn. */
  async reconcile(config: Config, queueRule: boolean): Promise<Reconciliation> {
    try {
      const reconciliation = await this.parts.installer().reconcile(config, queueRule)
      this.parts.compared(reconciliation)
      return reconciliation
    } catch (error) {
      // Another program has the lock. A daemon that is started again would not get it, either.
      if (error instanceof LockError) this.parts.compared()
      throw error
    }
  }

  /**
   * Restores the table first: what another program has just changed must not become what the table should be. To be called
   * within a turn.
   */
  async reconcileAndInstall(config: Config, specs: readonly ServiceSpec[] = config.services): Promise<FirewallResult> {
    for (let attempt = 1; ; attempt++) {
      this.parts.reconciled(await this.reconcile(config, false))
      try {
        return await this.parts.installer().install(config, specs)
      } catch (error) {
        // The table was changed between the two steps.
        const again = (error as Partial<FirewallError>).kind === 'replaced' && attempt < installAttempts
        if (!again) throw error
      }
    }
  }
}

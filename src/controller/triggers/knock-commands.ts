/**
 * Has the commands of knocks run, in the order of the knocks of each source: those of a grant only when the kernel was not
 * found without it, so that no command says of a port that it is open when it is not.
 */
import type { Confirmation, GrantConfirmation, Grants } from '../grants/grant-confirmation.js'
import type { Log } from '../report/log-interface.js'
import type { TriggerSchedule } from './trigger-schedule.js'

export class KnockCommands {
  /** The last knock of each source that waits for what the kernel has done; those behind it wait as well. */
  readonly #last = new Map<string, Promise<void>>()

  /** `grantsOf` gives what a credential opens. */
  constructor(
    readonly triggers: Pick<TriggerSchedule, 'opened' | 'closed'>,
    readonly grantsOf: (credential: string) => Grants | undefined,
    readonly confirmation: Pick<GrantConfirmation, 'confirm'>,
    readonly log: Log,
  ) {}

  /** The knock of a credential with triggers was accepted, and `address` should have its grants. */
  opened(credential: string, address: string): void {
    const grants = this.grantsOf(credential) ?? []
    const confirmed = grants.length > 0 ? this.confirmation.confirm(address, grants, false) : undefined
    this.#inOrder(address, confirmed, confirmation => {
      if (confirmation?.kind !== 'missing') {
        this.triggers.opened(credential, address)
        return
      }
      const services = confirmation.services.join(', ')
      this.log.error(
        `on-open of ${credential} is not run for ${address}, because the kernel has not opened ${services}`,
        {
          credential,
          source: address,
        },
      )
    })
  }

  /** A knock of that credential took the grant of `address` back. */
  closed(credential: string, address: string): void {
    this.#inOrder(address, undefined, () => {
      this.triggers.closed(credential, address)
    })
  }

  /** Resolves when nothing waits. */
  async settled(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values())
  }

  #inOrder(
    address: string,
    confirmed: Promise<Confirmation> | undefined,
    work: (confirmation?: Confirmation) => void,
  ): void {
    const earlier = this.#last.get(address)
    if (!confirmed && !earlier) {
      work()
      return
    }
    const done: Promise<void> = Promise.all([confirmed, earlier]).then(([confirmation]) => {
      if (this.#last.get(address) === done) this.#last.delete(address)
      work(confirmation)
    })
    this.#last.set(address, done)
  }
}

/**
 * Closes the ports of services at once when another program has deleted the table. An nft waits with the transaction that makes
 * the services again: where it had to be started first, or to read the sets of others, ports would be open for longer. The
 * rest of the table follows, and takes the place of this one. The transaction fails where there is a table.
 */
import { withInlineElements } from '../inline-elements.js'
import type { Command } from '../nft-json.js'
import { createTable } from '../nft-json.js'
import { emptyListing } from '../listing.js'
import type { OpenSession, NftSession } from '../nft-session.js'
import { refreshAlive } from '../table/daemon-alive.js'
import { buildServices } from '../table/service-changes.js'
import type { ServiceSpec } from '../table/service-spec.js'

interface Staged {
  readonly services: ReadonlyMap<string, ServiceSpec>
  readonly session: NftSession
  readonly text: string
  readonly run: () => Promise<string>
}

export class Standby {
  #staged: Staged | undefined

  constructor(readonly open: OpenSession) {}

  /** Has nft wait with these services. To be called whenever they are known, and costs nothing when they are the same. */
  keep(services: ReadonlyMap<string, ServiceSpec>): void {
    const commands = services.size > 0 ? closing([...services.values()]) : undefined
    const text = JSON.stringify(commands)
    if (this.#staged?.text === text) return
    this.stop()
    if (!commands) return
    const session = this.open()
    this.#staged = { services, session, text, run: session.stage('nft, closing ports', commands) }
    void session.ended.then(() => {
      if (this.#staged?.session === session) this.#staged = undefined
    })
  }

  /** True when there was no table, and there is one now in which the ports are closed. */
  async closePorts(): Promise<boolean> {
    const staged = this.#staged
    if (!staged) return false
    this.#staged = undefined
    const result = staged.run()
    // The next flush may come before the rest of the table.
    this.keep(staged.services)
    try {
      return (await result) === ''
    } catch {
      return false
    } finally {
      void staged.session.close()
    }
  }

  /** Lets nothing wait any more. */
  stop(): void {
    void this.#staged?.session.close()
    this.#staged = undefined
  }
}

const closing = (services: readonly ServiceSpec[]): Command[] => [
  createTable(),
  ...withInlineElements(buildServices(services, emptyListing())),
  ...(services.some(({ failOpen }) => failOpen) ? refreshAlive() : []),
]

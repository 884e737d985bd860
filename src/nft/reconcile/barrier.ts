/**
 * Barriers in what `nft monitor` reports: a chain that is added and deleted in one transaction. When the monitor
 * reports it, it has reported everything before it.
 */
import type { Command } from '../nft-json.js'
import { addChain, deleteChain } from '../nft-json.js'
import type { RulesetEvent } from './monitor.js'
import { isOurs } from './monitor.js'

interface Barrier {
  readonly commands: readonly Command[]
  /** False when the monitor has not come to it in time. To be called after the commands were applied. */
  readonly seen: (milliseconds?: number) => Promise<boolean>
}

const patienceMilliseconds = 1000
const prefix = 'sign-'

export const isBarrier = (event: RulesetEvent): boolean =>
  isOurs(event) && event.kind === 'chain' && event.name.startsWith(prefix)

export class Barriers {
  /** What to call when the monitor comes to a barrier, by its name. */
  readonly #waiting = new Map<string, () => void>()
  #count = 0

  next(): Barrier {
    const name = `${prefix}${++this.#count}`
    const reported = new Promise<boolean>(resolve => {
      this.#waiting.set(name, () => {
        resolve(true)
      })
    })
    return {
      commands: [addChain(name), deleteChain(name)],
      seen: async (milliseconds = patienceMilliseconds) => {
        let timer: NodeJS.Timeout | undefined
        const late = new Promise<boolean>(resolve => {
          // A process that ends meanwhile is not kept by it.
          timer = setTimeout(resolve, milliseconds, false).unref()
        })
        const seen = await Promise.race([reported, late])
        clearTimeout(timer)
        this.#waiting.delete(name)
        return seen
      },
    }
  }

  /** Takes over what the monitor reports. */
  follow(events: readonly RulesetEvent[]): void {
    for (const event of events) if (isBarrier(event)) this.#waiting.get(event.name)?.()
  }
}

/**
 * Signs in what `nft monitor` reports: a chain that is added and deleted in one transaction. A barrier is one: when the monitor
 * reports it, it has reported everything before it. And pkctl signs each of its transactions that changes grants, so that
 * those of others can be told apart.
 */
import type { Command } from '../nft-json.js'
import { addChain, deleteChain } from '../nft-json.js'
import { asObject, asText } from '../listing.js'
import type { RulesetEvent } from './nft-monitor.js'
import { isOurs } from './nft-monitor.js'
import { isGrantSet } from './reported-grants.js'

interface Barrier {
  readonly commands: readonly Command[]
  /** False when the monitor has not come to it in time. To be called after the commands were applied. */
  readonly seen: (milliseconds?: number) => Promise<boolean>
}

const patienceMilliseconds = 1000
const prefix = 'sign-'

export const isBarrier = (event: RulesetEvent): boolean =>
  isOurs(event) && event.kind === 'chain' && event.name.startsWith(prefix)

const ownSign = [addChain(`${prefix}own`), deleteChain(`${prefix}own`)]

/** The transaction, signed where it changes grants. */
export const signed = (commands: readonly Command[]): readonly Command[] =>
  commands.some(changesGrantSet) ? [...commands, ...ownSign] : commands

function changesGrantSet({ add, delete: deleted, flush }: Command): boolean {
  const { element, set } = { ...asObject(add), ...asObject(deleted), ...asObject(flush) }
  return isGrantSet(asText(asObject(element ?? (flush === undefined ? undefined : set))['name']))
}

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

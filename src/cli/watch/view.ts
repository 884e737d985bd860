/** What `pkctl watch` shows, asked for again and again. */
import * as fs from 'node:fs'
import type { Status } from '../../controller/index.js'
import { askOrExplain } from '../../daemon/control-client.js'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import { historyFiles } from '../../daemon/history-lines.js'
import type { ServiceState } from '../../nft/index.js'
import { realFirewall } from '../../nft/index.js'
import type { Unconfirmed } from '../../safety/ask-rollback-process.js'
import { unconfirmedChange } from '../../safety/ask-rollback-process.js'
import { reasonOf } from '../../util/index.js'
import { readEntries } from '../output/history-text.js'
import { kernelOrDaemon } from '../changes/kernel-or-daemon.js'

export interface View {
  /** Milliseconds of the monotonic clock. */
  readonly at: number
  /** Undefined where the daemon does not answer. */
  readonly status: Status | undefined
  /** Of a change that waits; undefined where none does. */
  readonly unconfirmed: Unconfirmed | undefined
  /** Why parts of the view are missing. */
  readonly problems: readonly string[]
  readonly services: readonly ServiceState[]
  /** The last ones, the newest at the end. */
  readonly entries: readonly HistoryEntry[]
}

/** How many entries are kept for a screen. */
const maxEntries = 500

export class ViewReader {
  #entries: readonly HistoryEntry[] = []
  #seen = ''

  constructor(
    readonly socket: string,
    readonly directory: string,
  ) {}

  /** Never rejects: what does not answer is a problem to show. */
  async read(): Promise<View> {
    const problems: string[] = []
    const orUndefined = async <T>(asked: Promise<T>): Promise<T | undefined> => {
      try {
        return await asked
      } catch (error) {
        problems.push(reasonOf(error))
        return undefined
      }
    }
    const status = await orUndefined(askOrExplain(this.socket, 'status') as Promise<Status>)
    const services = await orUndefined(
      kernelOrDaemon(this.socket, { request: 'list' }, async () => [...(await realFirewall().services()).values()]),
    )
    const entries = (await orUndefined(Promise.resolve().then(() => this.#history()))) ?? []
    const unconfirmed = await unconfirmedChange()
    return {
      at: performance.now(),
      status,
      unconfirmed,
      problems: [...new Set(problems)],
      services: services ?? [],
      entries,
    }
  }

  /** The files are read only when they have changed. */
  #history(): readonly HistoryEntry[] {
    const seen = Object.values(historyFiles(this.directory)).map(changeOf).join()
    if (seen !== this.#seen) this.#entries = readEntries(this.directory).slice(-maxEntries)
    this.#seen = seen
    return this.#entries
  }
}

function changeOf(file: string): string {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs}` : ''
}

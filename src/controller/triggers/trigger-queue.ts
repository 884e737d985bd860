/**
 * Runs commands, a limited number at once. Commands of the same key (an address and a credential) keep their order where
 * it matters: what ends something runs after what began it, and what begins something after what ended it before.
 */
import type { CommandRun } from './trigger-command.js'

/** Resolves when the command has ended, whether it failed or not; the log has the result. */
export type RunCommand = (run: CommandRun) => Promise<void>

export interface QueueLimits {
  readonly triggersAtOnce: number
  readonly triggersWaiting: number
}

/** The commands of a key that run or wait. */
interface Lane {
  /** Resolves when all of them have ended. */
  readonly all: Promise<void>
  /** Resolves when those that end something have ended. */
  readonly ends: Promise<void> | undefined
}

const stopMilliseconds = 5000

export class TriggerQueue {
  limits: QueueLimits = { triggersAtOnce: 1, triggersWaiting: 1 }
  readonly #run: RunCommand
  readonly #running = new Set<Promise<void>>()
  /** Commands that wait because too many run. */
  readonly #waiting: (() => void)[] = []
  readonly #lanes = new Map<string, Lane>()
  /** How many wait for another command of their key. */
  #behind = 0
  #isStopped = false

  constructor(run: RunCommand) {
    this.#run = run
  }

  /** How many commands wait. */
  get length(): number {
    return this.#waiting.length + this.#behind
  }

  /** Whether a command that begins something would run at once, or may wait. */
  hasRoomToBegin(key: string): boolean {
    return this.#hasRoom(this.#lanes.get(key)?.ends)
  }

  /** The same for a command that ends something. */
  hasRoomToEnd(key: string): boolean {
    return this.#hasRoom(this.#lanes.get(key)?.all)
  }

  /** Runs a command that begins something: beside others that do, and after those that end something. */
  begin(key: string, run: CommandRun): Promise<void> {
    const { all, ends } = this.#lanes.get(key) ?? {}
    const done = this.#runAfter(ends, run)
    this.#keepLane(key, { all: Promise.all([all, done]).then(() => undefined), ends })
    return done
  }

  /** Runs a command that ends something: after all that came before it, however long they take. */
  end(key: string, run: CommandRun): Promise<void> {
    const done = this.#runAfter(this.#lanes.get(key)?.all, run)
    this.#keepLane(key, { all: done, ends: done })
    return done
  }

  /** Starts no more commands, and gives those that run a little time to end. `onDropped` gets how many waited. */
  async stop(onDropped: (count: number) => void): Promise<void> {
    this.#isStopped = true
    const dropped = this.#waiting.splice(0).length + this.#behind
    if (dropped > 0) onDropped(dropped)
    const timeout = new Promise(done => setTimeout(done, stopMilliseconds).unref())
    await Promise.race([Promise.all(this.#running), timeout])
  }

  #hasRoom(before: Promise<void> | undefined): boolean {
    const { triggersAtOnce, triggersWaiting } = this.limits
    const runsNow = this.#running.size < triggersAtOnce && before === undefined
    return runsNow || this.length < triggersWaiting
  }

  #keepLane(key: string, lane: Lane): void {
    this.#lanes.set(key, lane)
    void lane.all.then(() => {
      if (this.#lanes.get(key) === lane) this.#lanes.delete(key)
    })
  }

  async #runAfter(before: Promise<void> | undefined, run: CommandRun): Promise<void> {
    if (before) {
      this.#behind++
      await before
      this.#behind--
    }
    await this.#runOrWait(run)
  }

  #runOrWait(run: CommandRun): Promise<void> {
    // It never ends here, so that its caller does not take it for done.
    if (this.#isStopped) return new Promise(() => undefined)
    if (this.#running.size < this.limits.triggersAtOnce) return this.#runNow(run)
    return new Promise(resolve => {
      this.#waiting.push(() => void this.#runNow(run).then(resolve))
    })
  }

  async #runNow(run: CommandRun): Promise<void> {
    const running = this.#run(run)
    this.#running.add(running)
    await running
    this.#running.delete(running)
    this.#waiting.shift()?.()
  }
}

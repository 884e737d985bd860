/**
 * The daemon knocks on itself, at its start and at intervals, by the way that all knocks take: the loopback interface, the
 * rules, the queue, the packet worker. Nothing opens by it. It finds out that no knock is heard before a user does.
 */
import type { Firewall } from '../../nft/index.js'
import type { QueueStatistics } from '../../queue/statistics.js'
import type { ActiveCredential } from '../verify/active-credentials.js'
import type { Log } from '../report/log-interface.js'
import type { PacketWorker } from '../packets/packet-worker-interface.js'
import { causeOf } from './cause.js'
import type { LoopbackSocket, OpenLoopback } from './loopback.js'
import { reasonNotPossible } from './loopback.js'
import { ownAddress, ownPayload } from './own-datagrams.js'
import type { SelfTestOutcome, SelfTestReport } from './result.js'
import type { Target } from './targets.js'
import { selfTestTargets } from './targets.js'

export interface SelfTestParts {
  readonly token: Uint8Array
  readonly openLoopback: OpenLoopback
  readonly firewall: Pick<Firewall, 'overview'>
  readonly worker: () => Pick<PacketWorker, 'ping' | 'counters'> | undefined
  readonly active: () => readonly ActiveCredential[]
  readonly queue: () => { readonly number: number; readonly native: boolean }
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Why the ruleset is not under control; undefined when it is. */
  readonly rulesetProblem: () => string | undefined
  readonly log: Log
  /** Unix milliseconds. */
  readonly now: () => number
  /** Called when the result is another one, or has another reason. */
  readonly onChange: (report: SelfTestReport) => void
}

/** One packet can be lost, or late, on a machine that has a lot to do. */
const triesMilliseconds = [1000, 2000, 4000]

export class SelfTest {
  #outcome: SelfTestOutcome = { result: 'off' }
  #at: number | null = null
  #passedAt: number | null = null
  #seconds: number | null = null
  #failures = 0
  #everySeconds: number | null = null
  #timer: NodeJS.Timeout | undefined
  #isTesting = false
  /** Those of a test that has ended do not count for the next one. */
  #number = 0
  readonly #unseen = new Map<number, Target>()
  /** Called when no datagram is missing any more. */
  #onAllSeen: () => void = () => undefined

  constructor(readonly parts: SelfTestParts) {}

  get report(): SelfTestReport {
    return {
      ...this.#outcome,
      at: this.#at,
      passedAt: this.#passedAt,
      seconds: this.#seconds,
      failures: this.#failures,
    }
  }

  /** Whether a new start of the daemon may help: the way has worked since this one, and no other program has broken it. */
  get isForRestart(): boolean {
    return this.#outcome.cause === 'reader' && this.#passedAt !== null
  }

  /** Tests at once if it has not yet, and then so often; null: not at all. */
  follow(everySeconds: number | null): void {
    if (everySeconds === this.#everySeconds) return
    this.stop()
    this.#everySeconds = everySeconds
    const hasFailed = this.#outcome.result === 'failed'
    if (everySeconds === null) {
      this.#outcome = { result: 'off' }
      if (hasFailed) this.parts.onChange(this.report)
      return
    }
    // A failure counts until the next test says that it is over.
    if (!hasFailed) this.#outcome = { result: 'waiting' }
    this.#timer = setInterval(() => void this.#run(), everySeconds * 1000)
    this.#timer.unref()
    void this.#run()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#everySeconds = null
  }

  /** The packet worker has answered the own datagrams with these numbers. */
  seen(numbers: readonly number[]): void {
    for (const number of numbers) this.#unseen.delete(number)
    if (this.#unseen.size === 0) this.#onAllSeen()
  }

  /** One at a time: a test that waits for nft is not joined by others. */
  async #run(): Promise<void> {
    if (this.#isTesting) return
    this.#isTesting = true
    const began = performance.now()
    try {
      const outcome = await this.#test()
      if (this.#everySeconds !== null) this.#take(outcome, (performance.now() - began) / 1000)
    } finally {
      this.#isTesting = false
      this.#unseen.clear()
    }
  }

  async #test(): Promise<SelfTestOutcome> {
    const { token, openLoopback, active, now, rulesetProblem } = this.parts
    const worker = this.parts.worker()
    const targets = selfTestTargets(active(), token, now() / 1000)
    if (targets.length === 0 || !worker) return { result: 'off' }
    const heard: Uint8Array[] = []
    let socket: LoopbackSocket | undefined
    try {
      socket = await openLoopback(ownAddress, payload => heard.push(payload))
      const { send, port } = socket
      if (await this.#knock(targets, send)) {
        const problem = rulesetProblem()
        return problem === undefined ? { result: 'passed' } : { result: 'failed', cause: 'nft', because: problem }
      }
      const missing = [...this.#unseen.values()]
      const parts = { ...this.parts, worker, queue: this.parts.queue() }
      const again = () => this.#knock(missing, send)
      const ports = [...new Set(missing.map(({ port }) => `${port}/udp`))].join(', ')
      const outcome = await causeOf({ ...parts, again, ports })
      if (outcome.cause !== 'rules' || this.#passedAt !== null) return outcome
      // Where nothing comes through by this interface, and never has, it is not knocks that are dropped.
      await send(Buffer.from('no knock'), port)
      await pause(triesMilliseconds[0] as number)
      return heard.length > 0
        ? outcome
        : { result: 'impossible', because: 'a rule drops what comes by the loopback interface' }
    } catch (error) {
      return { result: 'impossible', because: reasonNotPossible(error) }
    } finally {
      socket?.close()
    }
  }

  /** True when the packet worker has seen one for each target. */
  async #knock(targets: readonly Target[], send: LoopbackSocket['send']): Promise<boolean> {
    const { token } = this.parts
    this.#unseen.clear()
    for (const target of targets) this.#unseen.set((this.#number = (this.#number + 1) >>> 0), target)
    for (const milliseconds of triesMilliseconds) {
      const seen = new Promise<void>(resolve => (this.#onAllSeen = resolve))
      for (const [number, target] of this.#unseen) await send(ownPayload({ ...target, number }, token), target.port)
      if (this.#unseen.size > 0) await Promise.race([seen, pause(milliseconds)])
      if (this.#unseen.size === 0) return true
    }
    return false
  }

  #take(outcome: SelfTestOutcome, seconds: number): void {
    const { now, onChange } = this.parts
    const before = this.#outcome
    this.#outcome = outcome
    this.#at = now() / 1000
    this.#seconds = seconds
    if (outcome.result === 'passed') this.#passedAt = this.#at
    if (outcome.result === 'failed') this.#failures++
    const isSame = outcome.result === before.result && outcome.cause === before.cause
    if (isSame && (outcome.result !== 'impossible' || outcome.because === before.because)) return
    this.#log(outcome, before)
    onChange(this.report)
  }

  #log({ result, cause, because = '' }: SelfTestOutcome, before: SelfTestOutcome): void {
    const { log } = this.parts
    const fields = { event: `self-test-${result}`, ...(cause ? { cause } : {}) }
    if (result === 'failed') log.error(`the self-test failed: ${because}${cause ? advice[cause] : ''}`, fields)
    else if (result === 'impossible') log.warn(`the self-test is not possible: ${because}`, fields)
    else if (before.result === 'failed') log.warn('the self-test passes again: knocks arrive', fields)
    else if (result === 'passed') log.debug('the self-test passed: knocks arrive')
  }
}

const advice = {
  rules: '. A restart of pkctld does not help; pkctl doctor names the rule',
  queue: '. pkctl status shows how many packets wait',
  reader: '',
  nft: '. Knocks may be heard, but the ports are not watched',
} as const

/** It does not keep a daemon alive that stops. */
const pause = (milliseconds: number): Promise<void> =>
  new Promise(resolve => {
    setTimeout(resolve, milliseconds).unref()
  })

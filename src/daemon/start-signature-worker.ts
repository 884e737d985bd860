/**
 * Runs the thread that verifies signatures, from the first key on: starts it again when it ends, and tells the packet
 * worker where it is.
 */
import type { MessagePort } from 'node:worker_threads'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { CredentialKeys, KeysReport, SignatureState } from '../controller/index.js'
import { OpenRequests } from './open-requests.js'
import type { SignatureMessage, SignatureRequest, SignatureWorkerData } from './worker-messages.js'

interface SignatureThreadParts {
  /** Wakes the packet worker up. */
  readonly wakeWriter: number
  /** Gives the packet worker its end of the channel; null while signatures are not verified. */
  readonly attach: (jobs: MessagePort | null) => void
  readonly onTrouble: (level: 'error' | 'warn', message: string) => void
}

/** The pause before it is started again, which doubles with each further time. */
const firstPauseMilliseconds = 1000
const longestPauseMilliseconds = 60_000
/** After so long, an end is the first one again. */
const healthyMilliseconds = 300_000

interface Running {
  readonly thread: Worker
  readonly reports: OpenRequests<readonly KeysReport[]>
  readonly pings: OpenRequests<void>
}

export class SignatureThread {
  #keys: readonly CredentialKeys[] = []
  #running: Running | undefined
  #isAttached = false
  #timer: NodeJS.Timeout | undefined
  #pause = firstPauseMilliseconds
  #isStopping = false

  constructor(readonly parts: SignatureThreadParts) {}

  get state(): SignatureState {
    if (this.#keys.length === 0) return 'off'
    return this.#isAttached ? 'running' : 'down'
  }

  /** Verifies by these keys from now on, and resolves to what was found in their files. */
  async use(keys: readonly CredentialKeys[]): Promise<readonly KeysReport[]> {
    this.#keys = keys
    if (this.#isStopping || (keys.length === 0 && !this.#running)) return []
    if (!this.#running && this.#timer === undefined) this.#start()
    return this.#configure()
  }

  /** Resolves when the thread has answered, or there is none. */
  async ping(): Promise<void> {
    const { thread, pings } = this.#running ?? {}
    await pings?.ask(() => thread?.postMessage({ kind: 'ping' } satisfies SignatureRequest))
  }

  /** Ends the thread. */
  stop(): void {
    this.#isStopping = true
    clearTimeout(this.#timer)
    void this.#running?.thread.terminate()
  }

  async #configure(): Promise<readonly KeysReport[]> {
    const running = this.#running
    if (!running) return []
    const request: SignatureRequest = { kind: 'keys', keys: this.#keys }
    return running.reports.ask(() => {
      running.thread.postMessage(request)
    })
  }

  #start(): void {
    const { wakeWriter, attach, onTrouble } = this.parts
    const { port1, port2 } = new MessageChannel()
    const workerData: SignatureWorkerData = { wakeWriter }
    const thread = new Worker(new URL('./signature-worker.js', import.meta.url), {
      workerData: { ...workerData, jobs: port2 },
      transferList: [port2],
      trackUnmanagedFds: false,
    })
    const running: Running = { thread, reports: new OpenRequests(), pings: new OpenRequests() }
    this.#running = running
    let reason = 'it ended'
    const startedAt = performance.now()
    thread.on('message', (message: SignatureMessage) => {
      if (message.kind === 'pong') {
        running.pings.answer()
        return
      }
      running.reports.answer(message.reports)
      // Not before it has keys: it would refuse what it is to accept.
      if (!this.#isAttached) attach(port1)
      this.#isAttached = true
    })
    thread.on('error', error => {
      reason = error.message
    })
    thread.on('exit', () => {
      this.#running = undefined
      running.reports.answerAll([])
      running.pings.answerAll()
      if (this.#isStopping) return
      attach(null)
      this.#isAttached = false
      if (performance.now() - startedAt > healthyMilliseconds) this.#pause = firstPauseMilliseconds
      const what = 'the thread that verifies signatures has ended, and is started again'
      onTrouble('error', `${what}; until then, knocks of type ssh are refused: ${reason}`)
      this.#timer = setTimeout(() => {
        this.#timer = undefined
        this.#start()
        void this.#configure().then(() => {
          if (this.#isAttached) onTrouble('warn', 'signatures are verified again')
        })
      }, this.#pause)
      this.#pause = Math.min(longestPauseMilliseconds, this.#pause * 2)
    })
  }
}

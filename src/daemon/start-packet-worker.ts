/** Starts the packet worker in a thread of its own, and exchanges messages with it. */
import * as fs from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { Worker } from 'node:worker_threads'
import type { Config } from '../config/types.js'
import type { PacketWorker, PacketWorkerEvents, SequenceProgress, WorkerReport } from '../controller/index.js'
import { Counters } from '../controller/index.js'
import type { RecentGrants } from '../nft/index.js'
import { QueueError } from '../queue/queue-error.js'
import { OpenRequests } from './open-requests.js'
import { SignatureThread } from './start-signature-worker.js'
import type { PacketWorkerData, WorkerMessage, WorkerRequest } from './worker-messages.js'

/** What both threads know, and nothing outside of the process. */
interface WorkerSecrets {
  readonly recent: RecentGrants
  readonly markSeed: number
  readonly selfTestToken: Uint8Array
}

/** `markSeed`: as for `Marks`; `selfTestToken`: as for `OwnDatagrams`. Resolves when the queue is bound. Rejects with a QueueError, or with another error that prevents it. */
export function startPacketWorker(
  { recent, markSeed, selfTestToken }: WorkerSecrets,
  config: Config,
  events: PacketWorkerEvents,
): Promise<PacketWorker> {
  const counters = new Counters()
  const workerData: PacketWorkerData = {
    queue: config.queue,
    mask: config.marks.mask,
    markSeed,
    stateDirectory: config.stateDirectory,
    limits: { entries: config.limits.replayEntries, anyClockEntries: config.limits.anyClockEntries },
    counters: counters.memory,
    recent: recent.memory,
    selfTestToken,
  }
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./packet-worker.js', import.meta.url), { workerData, trackUnmanagedFds: false })
    const configured = new OpenRequests<void>()
    const sequences = new OpenRequests<readonly SequenceProgress[]>()
    const reports = new OpenRequests<WorkerReport | undefined>()
    const pings = new OpenRequests<void>()
    let wakeWriter = -1
    let signatures: SignatureThread | undefined
    let isStopping = false
    let ended: () => void = () => undefined
    const end = new Promise<void>(done => (ended = done))

    const send = (request: WorkerRequest, transfer: readonly MessagePort[] = []) => {
      thread.postMessage(request, transfer)
      // The thread waits for packets, and looks at its messages when it is woken.
      fs.writeSync(wakeWriter, 'w')
    }
    const worker: PacketWorker = {
      counters,
      configure: (credentials, sequences) =>
        configured.ask(() => {
          send({ kind: 'configure', credentials, sequences })
        }),
      carriedOut(awaited) {
        // At the end, nothing waits any more.
        if (!isStopping) send({ kind: 'carried-out', awaited })
      },
      claimed(outcome) {
        if (!isStopping) send({ kind: 'claimed', outcome })
      },
      sequencesInProgress: () =>
        sequences.ask(() => {
          send({ kind: 'list-sequences' })
        }),
      report: () =>
        reports.ask(() => {
          send({ kind: 'report' })
        }),
      useKeys: async keys => (await signatures?.use(keys)) ?? [],
      get signatures() {
        return signatures?.state ?? 'off'
      },
      async ping() {
        const packets = pings.ask(() => {
          send({ kind: 'ping' })
        })
        await Promise.all([packets, signatures?.ping()])
      },
      stop() {
        if (!isStopping) {
          isStopping = true
          send({ kind: 'stop' })
          signatures?.stop()
        }
        return end
      },
    }

    thread.on('message', (message: WorkerMessage) => {
      switch (message.kind) {
        case 'ready':
          wakeWriter = message.wakeWriter
          signatures = new SignatureThread({
            wakeWriter,
            attach: jobs => {
              send({ kind: 'signatures', jobs }, jobs ? [jobs] : [])
            },
            onTrouble: (level, message) => {
              events.trouble(level, message)
            },
          })
          resolve(worker)
          break
        case 'failed':
          reject(new QueueError(message.message, message.hint))
          break
        case 'configured':
          configured.answer()
          break
        case 'sequences':
          sequences.answer(message.sources)
          break
        case 'report':
          reports.answer(message.report)
          break
        case 'pong':
          pings.answer()
          break
        case 'claims':
          events.claims(message.claims)
          break
        case 'own-seen':
          events.ownSeen(message.numbers)
          break
        case 'ruleset':
          events.rulesetChanged()
          break
        case 'knocks':
          events.knocks(message.events, message.suppressed)
          break
        case 'effects':
          events.effects(message.effects)
          break
        case 'trouble':
          events.trouble(message.level, message.message)
          break
      }
    })
    thread.on('error', error => {
      reject(error)
      if (!isStopping) events.died(error)
    })
    thread.on('exit', () => {
      ended()
      signatures?.stop()
      configured.answerAll()
      sequences.answerAll([])
      reports.answerAll(undefined)
      // Pings stay without an answer: the watchdog must not take an ended thread for a live one.
      if (!isStopping && wakeWriter >= 0) events.died(new Error('the packet worker ended'))
    })
  })
}

/** Starts the packet path in a thread of its own, and talks with it. */
import * as fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Config } from '../config/types.js'
import type { PacketWorker, PacketWorkerEvents } from '../controller/daemon.js'
import type { SequenceProgress, WorkerMessage } from '../controller/knock-events.js'
import { Counters } from '../controller/knock-events.js'
import type { PacketSequence } from '../controller/sequence-verifier.js'
import type { PacketCredential } from '../controller/verifier.js'
import type { RecentGrants } from '../nft/reconcile/recent-grants.js'
import { QueueError } from '../queue/errors.js'

/** What the thread is given at its start. */
export interface PacketWorkerData {
  readonly queue: { readonly number: number; readonly maxLength: number }
  readonly mask: number
  readonly stateDirectory: string
  readonly limits: { readonly entries: number; readonly anyClockEntries: number }
  readonly counters: SharedArrayBuffer
  readonly recent: SharedArrayBuffer
}

export type PacketWorkerRequest =
  | {
      readonly kind: 'configure'
      readonly credentials: readonly PacketCredential[]
      readonly sequences: readonly PacketSequence[]
    }
  | { readonly kind: 'midway' }
  | { readonly kind: 'answer' }
  | { readonly kind: 'stop' }

/** Resolves when the queue is bound; rejects with a QueueError, or what else kept it from being so. */
export function startPacketThread(
  recent: RecentGrants,
  config: Config,
  events: PacketWorkerEvents,
): Promise<PacketWorker> {
  const counters = new Counters()
  const workerData: PacketWorkerData = {
    queue: config.queue,
    mask: config.marks.mask,
    stateDirectory: config.stateDirectory,
    limits: { entries: config.limits.replayEntries, anyClockEntries: config.limits.anyClockEntries },
    counters: counters.memory,
    recent: recent.memory,
  }
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./packet-worker.js', import.meta.url), { workerData, trackUnmanagedFds: false })
    let wakeWriter = -1
    let stopping = false
    let configured: (() => void)[] = []
    let midwayAsked: ((sources: readonly SequenceProgress[]) => void)[] = []
    let asked: (() => void)[] = []
    let ended: () => void = () => undefined
    const end = new Promise<void>(done => (ended = done))

    const request = (message: PacketWorkerRequest) => {
      worker.postMessage(message)
      fs.writeSync(wakeWriter, 'w')
    }
    const thread: PacketWorker = {
      counters,
      configure: (credentials, sequences) =>
        new Promise(done => {
          configured.push(done)
          request({ kind: 'configure', credentials, sequences })
        }),
      midway: () =>
        new Promise(done => {
          midwayAsked.push(done)
          request({ kind: 'midway' })
        }),
      answers: () =>
        new Promise(done => {
          asked.push(done)
          request({ kind: 'answer' })
        }),
      stop() {
        if (!stopping) {
          stopping = true
          request({ kind: 'stop' })
        }
        return end
      },
    }

    worker.on('message', (message: WorkerMessage) => {
      switch (message.kind) {
        case 'ready':
          wakeWriter = message.wakeWriter
          resolve(thread)
          break
        case 'failed':
          reject(new QueueError(message.message, message.hint))
          break
        case 'configured':
          configured.shift()?.()
          break
        case 'midway':
          midwayAsked.shift()?.(message.sources)
          break
        case 'effects':
          events.effects(message.effects)
          break
        case 'answers':
          for (const done of asked) done()
          asked = []
          break
        case 'knocks':
          events.knocks(message.events, message.suppressed)
          break
        case 'trouble':
          events.trouble(message.level, message.message)
          break
      }
    })
    worker.on('error', error => {
      reject(error)
      if (!stopping) events.died(error)
    })
    worker.on('exit', () => {
      ended()
      for (const done of configured) done()
      configured = []
      for (const done of midwayAsked) done([])
      midwayAsked = []
      if (!stopping && wakeWriter >= 0) events.died(new Error('the packet path ended'))
    })
  })
}

/** The thread of the packet path: it waits for packets, judges them, answers, and does nothing else. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { OneTimeLine } from '../config/one-time-file.js'
import { markUsed } from '../config/one-time-file.js'
import type { PathMessage } from '../controller/knock-events.js'
import { Counters, EventValve } from '../controller/knock-events.js'
import { PacketPath } from '../controller/packet-handler.js'
import { Journal } from '../controller/replay-journal.js'
import { StepKeeper } from '../controller/sequence-verifier.js'
import type { Clock, GateCredential } from '../controller/verifier.js'
import { Gatekeeper } from '../controller/verifier.js'
import type { PkdKey } from '../knock/pkd.js'
import { RecentAnswers, steadySeconds } from '../nft/reconcile/recent-grants.js'
import { Marks } from '../nft/table/packet-path.js'
import { QueueError } from '../queue/errors.js'
import { PacketQueue } from '../queue/nfqueue.js'
import { addressText, sourceText } from '../queue/packet.js'
import type { PacketWorkerData, PacketWorkerRequest } from './packet-thread.js'

const port = parentPort
if (!port) throw new Error('this file is the packet path of pkctld and is not started by hand')
const post = (message: PathMessage) => {
  port.postMessage(message)
}

const clock: Clock = { now: () => Date.now() / 1000, monotonic: () => performance.now() / 1000 }

/** Whoever has overheard a sequence can send it for ever. */
const spendTrouble = new EventValve(1)

/** Here, and not in the thread that reads the file: it must be done before the answer is given. */
function spend(line: OneTimeLine): void {
  try {
    markUsed(line)
  } catch (error) {
    if (spendTrouble.pass(clock.monotonic())) {
      post({ kind: 'trouble', level: 'error', message: `a right sequence is refused: ${(error as Error).message}` })
    }
    throw error
  }
}

function run(): void {
  const { queue: options, mask, stateDirectory, limits, counters, recent } = workerData as PacketWorkerData
  const queue = PacketQueue.open(options)
  const journal = openJournal(stateDirectory, limits)
  if (journal.damaged > 0) {
    post({
      kind: 'trouble',
      level: 'warn',
      message: `${journal.damaged} records of knocks were damaged; knocks made before now are refused`,
    })
  }
  const path = new PacketPath(new Gatekeeper([], c => journal.memoryOf(c), clock), new StepKeeper([], clock, spend), {
    marks: new Marks(mask),
    journal,
    counters: new Counters(counters),
    clock,
    recent: new RecentAnswers(recent),
    steadySeconds,
    addressText: sourceText,
    onEvents: (events, suppressed) => {
      post({ kind: 'knocks', events, suppressed })
    },
    onEffects: effects => {
      post({ kind: 'effects', effects })
    },
    onTrouble: (level, message) => {
      post({ kind: 'trouble', level, message })
    },
  })
  post({ kind: 'ready', wakeWriter: queue.wakeWriter })
  queue.run({
    onBatch: batch => {
      path.onBatch(batch)
    },
    onWake: () => handleRequests(path, journal),
  })
  queue.close()
  journal.close()
}

/** True when one of them was to stop. */
function handleRequests(path: PacketPath, journal: Journal): boolean {
  let stop = false
  for (;;) {
    const received = receiveMessageOnPort(port as NonNullable<typeof port>) as
      { message: PacketWorkerRequest } | undefined
    if (!received) return stop
    const { message } = received
    if (message.kind === 'stop') {
      stop = true
      continue
    }
    if (message.kind === 'midway') {
      const sources = path.steps.midway().map(({ source, name, made, of }) => {
        const address = addressText(Buffer.from(source, 'latin1'), 0, source.length === 4 ? 4 : 6)
        return { address, credential: name, made, of }
      })
      post({ kind: 'midway', sources })
      continue
    }
    if (message.kind === 'answer') {
      post({ kind: 'answers' })
      continue
    }
    path.gatekeeper = new Gatekeeper(message.credentials.map(revive), c => journal.memoryOf(c), clock)
    path.steps = new StepKeeper(message.sequences, clock, spend)
    post({ kind: 'configured' })
  }
}

/** What was posted from another thread has lost its class. */
function revive(credential: GateCredential): GateCredential {
  const { tag, key } = credential
  return { ...credential, tag: Buffer.from(tag), key: Buffer.from(key) as PkdKey }
}

function openJournal(directory: string, limits: PacketWorkerData['limits']): Journal {
  try {
    return Journal.open(directory, limits, Math.floor(clock.now()))
  } catch (cause) {
    const hint = 'without it a captured knock could open again after a restart; check state-directory'
    throw new QueueError(`the state directory ${directory} cannot be used: ${(cause as Error).message}`, hint, {
      cause,
    })
  }
}

try {
  run()
} catch (error) {
  if (!(error instanceof QueueError)) throw error
  post({ kind: 'failed', message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) })
}

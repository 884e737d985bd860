/** The thread that verifies knocks: it waits for packets, decides, answers, and does nothing else. */
import type { MessagePort } from 'node:worker_threads'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { OneTimeLine } from '../config/index.js'
import { markUsed } from '../config/index.js'
import type { Clock, SignedOutcome } from '../controller/index.js'
import {
  Counters,
  EventLimiter,
  KnockTally,
  KnockVerifier,
  OwnDatagrams,
  PacketHandler,
  ReplayJournal,
  SequenceVerifier,
  WarmUp,
} from '../controller/index.js'
import { addressFromBytes } from '../net/index.js'
import { Marks, RecentGrants, steadySeconds } from '../nft/index.js'
import { QueueError } from '../queue/queue-error.js'
import type { HeldAnswer } from '../queue/index.js'
import { PacketQueue, sourceText } from '../queue/index.js'
import { ownerHint, reasonOf } from '../util/index.js'
import type { PacketWorkerData, WorkerMessage, WorkerRequest } from './worker-messages.js'

const port = parentPort
if (!port) throw new Error('this file is the packet worker of pkctld and is not started by hand')
const post = (message: WorkerMessage) => {
  port.postMessage(message)
}

const clock: Clock = { now: () => Date.now() / 1000, monotonic: () => performance.now() / 1000 }

/** A sequence that was overheard can be sent without end. */
const spendErrors = new EventLimiter(1)

/** Marks the line in this thread, because it must be on the disk before the packet is answered. */
function spend(line: OneTimeLine): void {
  try {
    markUsed(line)
  } catch (error) {
    if (spendErrors.pass(clock.monotonic())) {
      post({ kind: 'trouble', level: 'error', message: `a valid sequence is refused: ${(error as Error).message}` })
    }
    throw error
  }
}

function run(): void {
  const {
    queue: options,
    mask,
    markSeed,
    stateDirectory,
    limits,
    counters,
    recent,
    selfTestToken,
  } = workerData as PacketWorkerData
  const queue = PacketQueue.open(options)
  const journal = openJournal(stateDirectory, limits)
  if (journal.damaged > 0) {
    post({
      kind: 'trouble',
      level: 'warn',
      message: `damaged records of knocks: ${journal.damaged}; refused are knocks up to now and the skew of their credential, and with any clock up to the latest one known`,
    })
  }
  const tally = new KnockTally()
  const handler = new PacketHandler(
    new KnockVerifier([], c => journal.cacheFor(c), clock),
    new SequenceVerifier([], clock, spend),
    {
      marks: new Marks(mask, markSeed),
      journal,
      counters: new Counters(counters),
      tally,
      clock,
      recent: new RecentGrants(recent),
      steadySeconds,
      queueLength: options.maxLength,
      addressText: sourceText,
      own: new OwnDatagrams(selfTestToken, numbers => {
        post({ kind: 'own-seen', numbers })
      }),
      onEvents: (events, suppressed) => {
        post({ kind: 'knocks', events, suppressed })
      },
      onEffects: effects => {
        post({ kind: 'effects', effects })
      },
      onTrouble: (level, message) => {
        post({ kind: 'trouble', level, message })
      },
    },
  )
  handler.claimKnocks = claims => {
    post({ kind: 'claims', claims })
  }
  post({ kind: 'ready', wakeWriter: queue.wakeWriter })
  watchRuleset(queue)
  const warmUp = new WarmUp(mask, clock)
  queue.run({
    onBatch: batch => {
      handler.onBatch(batch)
    },
    onAnswered: () => {
      handler.onAnswered()
    },
    onWake: () => {
      answerVerified(handler, queue)
      return handleRequests(handler, queue, { journal, tally, warmUp })
    },
    onRuleset: () => {
      post({ kind: 'ruleset' })
    },
    longestWait: () => handler.longestWait(),
    onTick: () => {
      answerHeld(handler, queue, handler.lateAnswers())
      handler.prepare()
    },
  })
  verifyBy(null, handler, queue)
  queue.close()
  journal.close()
}

/** This thread waits in any case, and wakes up for packets as early as any. */
function watchRuleset(queue: PacketQueue): void {
  try {
    queue.watchRuleset()
  } catch (error) {
    const message = `changes of the ruleset are noticed up to a second late: ${(error as Error).message}`
    post({ kind: 'trouble', level: 'warn', message })
  }
}

/** To the thread that verifies signatures; null while it does not run. */
let jobs: MessagePort | null = null

/** Answers the knocks whose signatures have been verified. */
function answerVerified(handler: PacketHandler, queue: PacketQueue): void {
  const outcomes: SignedOutcome[] = []
  while (jobs) {
    const received = receiveMessageOnPort(jobs) as { message: SignedOutcome } | undefined
    if (!received) break
    outcomes.push(received.message)
  }
  answerHeld(handler, queue, handler.onVerified(outcomes))
}

function answerHeld(handler: PacketHandler, queue: PacketQueue, answers: readonly HeldAnswer[]): void {
  if (answers.length === 0) return
  queue.answerHeld(answers)
  handler.onAnswered()
}

/** What is held is refused: nothing of before is asked about with the new thread, by the new credentials, or at the end. */
function verifyBy(next: MessagePort | null, handler: PacketHandler, queue: PacketQueue): void {
  answerHeld(handler, queue, handler.giveUp())
  if (next !== jobs) jobs?.close()
  jobs = next
  handler.verifySignature =
    next &&
    (job => {
      next.postMessage(job)
    })
}

/** True when one of the requests was to stop. */
function handleRequests(
  handler: PacketHandler,
  queue: PacketQueue,
  { journal, tally, warmUp }: { readonly journal: ReplayJournal; readonly tally: KnockTally; readonly warmUp: WarmUp },
): boolean {
  let stop = false
  for (;;) {
    const received = receiveMessageOnPort(port as NonNullable<typeof port>) as { message: WorkerRequest } | undefined
    if (!received) return stop
    const { message } = received
    if (message.kind === 'stop') {
      stop = true
      verifyBy(null, handler, queue)
      continue
    }
    if (message.kind === 'signatures') {
      verifyBy(message.jobs, handler, queue)
      continue
    }
    if (message.kind === 'carried-out') {
      answerHeld(handler, queue, handler.onCarriedOut(message.awaited))
      continue
    }
    if (message.kind === 'claimed') {
      answerHeld(handler, queue, handler.onClaimed([message.outcome]))
      continue
    }
    if (message.kind === 'list-sequences') {
      const sources = handler.steps.inProgress().map(({ source, name, made, of }) => {
        const address = addressFromBytes(Buffer.from(source, 'latin1'), 0, source.length === 4 ? 4 : 6)
        return { address, credential: name, made, of }
      })
      post({ kind: 'sequences', sources })
      continue
    }
    if (message.kind === 'report') {
      post({ kind: 'report', report: { knocks: tally.report(), replay: journal.usage } })
      continue
    }
    if (message.kind === 'ping') {
      journal.keep(clock.now())
      post({ kind: 'pong' })
      continue
    }
    verifyBy(jobs, handler, queue)
    warmUp.run(message.credentials, message.sequences)
    handler.verifier = new KnockVerifier(message.credentials, c => journal.cacheFor(c), clock)
    handler.steps = new SequenceVerifier(message.sequences, clock, spend)
    tally.keep(new Set([...message.credentials, ...message.sequences].map(({ name }) => name)))
    post({ kind: 'configured' })
  }
}

function openJournal(directory: string, limits: PacketWorkerData['limits']): ReplayJournal {
  try {
    return ReplayJournal.open(directory, limits, Math.floor(clock.now()), message => {
      post({ kind: 'trouble', level: 'error', message })
    })
  } catch (cause) {
    const hint = 'without it a captured knock could open again after a restart; check state-directory'
    throw new QueueError(
      `the state directory ${directory} cannot be used: ${reasonOf(cause)}`,
      ownerHint(cause) ?? hint,
      { cause },
    )
  }
}

try {
  run()
} catch (error) {
  if (!(error instanceof QueueError)) throw error
  post({ kind: 'failed', message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) })
}

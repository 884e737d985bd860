/** Finds out where the way of a knock is broken: by what the kernel counts when one more self-test goes through it. */
import type { Firewall } from '../../nft/index.js'
import type { QueueStatistics } from '../../queue/statistics.js'
import type { CounterName, Counters } from '../report/answer-counters.js'
import { refusals } from '../verify/decision.js'
import type { PacketWorker } from '../packets/packet-worker-interface.js'
import type { SelfTestCause, SelfTestOutcome } from './result.js'

interface CauseParts {
  readonly firewall: Pick<Firewall, 'overview'>
  readonly worker: Pick<PacketWorker, 'ping' | 'counters'>
  /** `native`: packets are counted and queued by one rule. */
  readonly queue: { readonly number: number; readonly native: boolean }
  readonly queueStatistics: (number: number) => QueueStatistics | undefined
  /** Knocks once more. True where the packet worker sees it after all. */
  readonly again: () => Promise<boolean>
  /** Where the knocks go, such as `62201/udp`. */
  readonly ports: string
}

const pingMilliseconds = 3000
const overviewMilliseconds = 10_000

const answered: readonly CounterName[] = ['accepted', 'pending', 'stray', ...refusals]
const answeredBy = (counters: Counters) => answered.reduce((sum, name) => sum + counters.get(name), 0)

export async function causeOf(parts: CauseParts): Promise<SelfTestOutcome> {
  const { firewall, worker, queue, queueStatistics, again, ports } = parts
  if (!(await isInTime(worker.ping()))) return failed('reader', 'the packet worker does not answer')
  const overview = () => firewall.overview(AbortSignal.timeout(overviewMilliseconds))
  const answeredBefore = answeredBy(worker.counters)
  try {
    const before = await overview()
    if (await again()) return { result: 'passed' }
    const after = await overview()
    return judge({
      ...{ ports, queue },
      isQueued: after.queued > before.queued,
      isPassedBy: after.unanswered > before.unanswered,
      isReading: answeredBy(worker.counters) > answeredBefore,
      waiting: queueStatistics(queue.number)?.waiting ?? 0,
    })
  } catch (error) {
    return failed('nft', `the kernel does not say what becomes of knocks: ${(error as Error).message}`)
  }
}

interface Signs extends Pick<CauseParts, 'ports' | 'queue'> {
  /** Whether the rules sent a knock to the queue. */
  readonly isQueued: boolean
  /** Whether one came out of it without an answer. */
  readonly isPassedBy: boolean
  /** Whether the packet worker has answered any packet meanwhile. */
  readonly isReading: boolean
  /** In the queue; 0 where the kernel does not say it. */
  readonly waiting: number
}

function judge({ ports, queue: { number, native }, isQueued, isPassedBy, isReading, waiting }: Signs): SelfTestOutcome {
  if (!isQueued)
    return failed(
      'rules',
      `knocks to ${ports} are dropped before they come to queue ${number}: by a rule of another program, or by 'limits'`,
    )
  if (isReading) return failed('queue', `queue ${number} is full, or slow: more packets arrive than pkctld can answer`)
  if (native || !isPassedBy || waiting > 0)
    return failed('reader', `the packet worker reads no packet of queue ${number}`)
  return failed('queue', `knocks pass by queue ${number}: the rule of iptables-nft that queues them is missing`)
}

const failed = (cause: SelfTestCause, because: string): SelfTestOutcome => ({ result: 'failed', cause, because })

/** Whether the promise resolves in time. */
async function isInTime(answer: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>(resolve => {
    timer = setTimeout(() => {
      resolve(false)
    }, pingMilliseconds)
  })
  const result = await Promise.race([
    answer.then(
      () => true,
      () => false,
    ),
    late,
  ])
  clearTimeout(timer)
  return result
}

/** What the queue itself can carry: reads and answers packets as pkctld does, and looks at none of them. */
import { PacketQueue } from '../../src/queue/nfqueue.js'

const answeredMark = 1
const [number, maxLength] = process.argv.slice(2).map(Number)
const queue = PacketQueue.open({ number: number ?? 0, maxLength: maxLength ?? 0 })
process.stdout.write('listening\n')
// Ends by a signal: this thread has no time for anything else.
queue.run({
  onBatch: batch => {
    batch.answers.fill(answeredMark, 0, batch.count)
  },
  onAnswered: () => undefined,
  onRuleset: () => undefined,
  onWake: () => true,
  longestWait: () => -1,
  onTick: () => undefined,
})

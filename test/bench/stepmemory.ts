/** Run with --expose-gc: how much of the heap sources in the middle of a sequence take. */
import { SequenceTracker } from '../../src/knock/sequence-tracker.js'

const sources = 65_536
const steps = [7000, 9000, 8000].map(port => ({ port, protocol: 6 as const }))

const tracker = new SequenceTracker([{ steps, timeoutSeconds: 10, value: 'bench' }], sources)
const used = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const before = used()
for (let i = 0; i < sources; i++) {
  const address = Buffer.alloc(i % 2 === 0 ? 4 : 16)
  address.writeUInt32BE(i, address.length - 4)
  for (const port of [7000, 9000]) tracker.knock(address.toString('latin1'), 6, port, i / sources)
}
const bytes = used() - before
if (tracker.size !== sources) throw new Error(`${tracker.size} sources are there`)
console.log(JSON.stringify({ sources, bytes }))

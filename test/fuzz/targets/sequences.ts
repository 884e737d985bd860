/** Port sequences: what is written in files, and what sources send. */
import assert from 'node:assert/strict'
import { SequenceFormatError } from '../../../src/knock/secret-errors.js'
import { readOneTime } from '../../../src/knock/one-time.js'
import { SequenceTracker } from '../../../src/knock/sequence-tracker.js'
import { parseStep } from '../../../src/knock/step.js'
import { parseFlags } from '../../../src/knock/tcp-flags.js'
import { orRefused } from '../properties.js'
import type { Target } from '../target.js'

const maxSources = 8
const step = (port: number) => ({ port, protocol: 6 as const })
const patterns = [[1, 2, 3], [1, 1, 2], [2, 1, 2, 3], [3], [1, 2, 1, 2, 4]].map((ports, value) => ({
  steps: ports.map(step),
  timeoutSeconds: 4,
  value,
}))

export const sequenceTargets: readonly Target[] = [
  {
    name: 'sequence-tracker',
    seeds: [Buffer.from([0, 1, 0, 2, 0, 3]), Buffer.from([0x10, 1, 0x10, 2, 0x15, 1, 0x10, 2, 0x10, 4])],
    // Two bytes for each packet: the source and how much later it comes, and its port.
    run(input) {
      const tracker = new SequenceTracker(patterns, maxSources)
      const latest = new Map<string, Set<number>>()
      let now = 0
      for (let at = 0; at + 1 < Math.min(input.length, 4000); at += 2) {
        const first = input[at] as number
        now += (first & 7) / 2
        const source = String(first >> 3)
        const port = (input[at + 1] as number) % 6
        const completed = tracker.knock(source, 6, port, now)
        const ports = latest.get(source) ?? new Set<number>()
        latest.set(source, ports.add(port))
        for (const value of completed) {
          const wanted = (patterns[value]?.steps ?? []).map(one => one.port)
          assert.equal(port, wanted.at(-1), `completed by ${port}, not by its last step`)
          assert.ok(
            wanted.every(one => ports.has(one)),
            'completed without all of its steps',
          )
        }
        assert.ok(tracker.size <= maxSources, 'more sources than the limit')
      }
    },
  },
  {
    name: 'one-time-file',
    seeds: [' 7000,8000:udp,9000\n#1,2,3\n\n 4,5\n', '1', ' 1:tcp , 2:UDP\r\n'],
    words: [':udp', ':tcp', ',', '#', '\n', '65535', '65536'],
    run(input) {
      const list = orRefused(() => readOneTime(input), SequenceFormatError)
      for (const { steps, line, offset } of list?.unused ?? []) {
        assert.ok(steps.length >= 1 && steps.length <= 32)
        assert.ok(steps.every(({ port }) => port >= 1 && port <= 65_535))
        assert.ok(input.subarray(offset, offset + line.length).equals(line))
      }
    },
  },
  {
    name: 'steps-and-flags',
    seeds: ['7000', '8000:udp', 'syn,!ack', '!fin, rst', '0:tcp'],
    words: ['syn', '!', 'urg', ':udp', ','],
    run(input) {
      const text = input.toString()
      orRefused(() => parseStep(text), SequenceFormatError)
      orRefused(() => parseFlags(text.split(',')), SequenceFormatError)
    },
  },
]

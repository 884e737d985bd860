/** Who has knocked at all ports of a sequence: judges the single knocks that left the kernel. */
import type { Clock } from './gatekeeper.js'
import { SequenceTracker } from '../knock/sequence.js'
import type { Step } from '../knock/sequence.js'
import type { Packet } from '../queue/packet.js'

/** A sequence, as far as the packet path needs it. */
export interface GateSequence {
  /** Of its credential. */
  readonly name: string
  readonly steps: readonly Step[]
  readonly timeoutSeconds: number
  /** The number of the kernel's plan for it. */
  readonly plan: number
  /** Whether that plan takes a grant back. */
  readonly revokes: boolean
}

/** As many as the kernel notes. */
const maxSources = 65_536

export class StepKeeper {
  readonly #tracker: SequenceTracker<GateSequence>

  constructor(
    sequences: readonly GateSequence[],
    readonly clock: Pick<Clock, 'monotonic'>,
  ) {
    const patterns = sequences.map(value => ({ steps: value.steps, timeoutSeconds: value.timeoutSeconds, value }))
    this.#tracker = new SequenceTracker(patterns, maxSources)
  }

  get sourcesMidway(): number {
    return this.#tracker.size
  }

  /** The sequence that this knock completes, if any. `stray`: its source has been elsewhere since its last one. */
  step(packet: Packet, stray: boolean): GateSequence | undefined {
    if (packet.version === 0) return undefined
    const { buffer, sourceAt, version } = packet
    const source = buffer.toString('latin1', sourceAt, sourceAt + (version === 4 ? 4 : 16))
    if (stray) this.#tracker.forget(source)
    return this.#tracker.knock(source, packet.protocol, packet.destinationPort, this.clock.monotonic())[0]
  }
}

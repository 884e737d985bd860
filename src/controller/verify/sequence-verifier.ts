/** Which sources have completed a sequence: decides on the single knocks that left the kernel. */
import type { KnockRate } from '../../config/index.js'
import type { OneTimeLine } from '../../config/index.js'
import type { FlagRule, Step } from '../../knock/index.js'
import { SequenceTracker } from '../../knock/index.js'
import { protocolTcp } from '../../net/index.js'
import type { Packet } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import { hasLinkLocalSource } from './link-local-source.js'
import { RateLimiter } from './rate-limiter.js'

/** A sequence, as far as the packet worker needs it. */
export interface PacketSequence {
  /** Of its credential. */
  readonly name: string
  readonly steps: readonly Step[]
  readonly timeoutSeconds: number
  readonly flags: FlagRule
  /** The bytes of addresses that knocks must be sent to, as latin1; empty for any. */
  readonly targets: readonly string[]
  readonly rate: KnockRate | null
  /** The number of the grant action that the kernel has for it. */
  readonly action: number
  /** Whether that action revokes grants. */
  readonly revokes: boolean
  /** Whether commands are to be run as well. */
  readonly triggers: boolean
  /** Whether a link-local source counts, as for other credentials. */
  readonly linkLocal: boolean
  /** The line of a one-time sequence, which must be marked as used before the sequence counts. */
  readonly once?: OneTimeLine
}

type StepDecision =
  | { readonly kind: 'complete'; readonly sequence: PacketSequence }
  | {
      readonly kind: 'refuse'
      readonly sequence: PacketSequence
      readonly reason: 'rate-limited' | 'line-unmarked' | 'out-of-time' | 'link-local'
    }

/** Marks a line as used on disk. Throws when that fails. */
type SpendLine = (line: OneTimeLine) => void

/** As many as the kernel's own set holds. */
const maxSources = 65_536

export class SequenceVerifier {
  readonly #tracker: SequenceTracker<PacketSequence>
  readonly #limiters = new Map<string, RateLimiter>()
  readonly #spent = new Set<PacketSequence>()
  /** Sequences whose time was over when the packet in hand came. */
  readonly #late: PacketSequence[] = []

  constructor(
    sequences: readonly PacketSequence[],
    readonly clock: Pick<Clock, 'monotonic'>,
    readonly spend: SpendLine,
  ) {
    const patterns = sequences.map(value => ({ steps: value.steps, timeoutSeconds: value.timeoutSeconds, value }))
    this.#tracker = new SequenceTracker(patterns, maxSources, sequence => this.#late.push(sequence))
    for (const { name, rate } of sequences) if (rate) this.#limiters.set(name, new RateLimiter(rate))
  }

  /** Each source that is in the middle of a sequence, as the bytes of its address in latin1, with its progress. */
  inProgress(): { source: string; name: string; made: number; of: number }[] {
    return this.#tracker
      .attempts()
      .map(({ source, value, made }) => ({ source, name: value.name, made, of: value.steps.length }))
  }

  /** What this knock completes, if anything. `stray`: its source has used another port since its last knock. */
  step(packet: Packet, stray: boolean): StepDecision | undefined {
    const { buffer, sourceAt, version, addressVersion, protocol, tcpFlags } = packet
    const length = addressVersion === 4 ? 4 : 16
    const source = buffer.toString('latin1', sourceAt, sourceAt + length)
    if (version === 0) {
      // The kernel took it for a knock, and forgot that its source had used another port, if it had.
      if (addressVersion !== 0) this.#tracker.forget(source)
      return undefined
    }
    const now = this.clock.monotonic()
    this.#late.length = 0
    if (stray) this.#tracker.forget(source)
    const counts = ({ flags, targets }: PacketSequence) =>
      (protocol !== protocolTcp || (tcpFlags & flags.mask) === flags.value) &&
      (targets.length === 0 || targets.includes(buffer.toString('latin1', sourceAt + length, sourceAt + 2 * length)))
    const [sequence] = this.#tracker
      .knock(source, protocol, packet.destinationPort, now, counts)
      .filter(one => !this.#spent.has(one))
    const [late] = this.#late
    if (!sequence) return late && { kind: 'refuse', sequence: late, reason: 'out-of-time' }
    const within = this.#limiters.get(sequence.name)?.take(version, buffer, sourceAt, now) ?? true
    if (!within) return { kind: 'refuse', sequence, reason: 'rate-limited' }
    if (!sequence.linkLocal && hasLinkLocalSource(packet)) return { kind: 'refuse', sequence, reason: 'link-local' }
    return this.#complete(sequence)
  }

  #complete(sequence: PacketSequence): StepDecision {
    if (sequence.once) {
      try {
        this.spend(sequence.once)
        this.#spent.add(sequence)
      } catch {
        return { kind: 'refuse', sequence, reason: 'line-unmarked' }
      }
    }
    return { kind: 'complete', sequence }
  }
}

/** The packet path as values: which packets leave the kernel, and what the answers to them do. */
import type { Hook } from '../nft-json.js'
import type { Marks } from './marks.js'
import type { SequencePorts } from './sequence-rules.js'
import type { ServiceSpec } from './service-spec.js'

/** Which datagrams are worth a look: UDP, of one length, beginning with one of these words. */
interface FixedShape {
  /** The UDP header's length field: payload and 8. */
  readonly udpLength: number
  /** The first four bytes of the payload, as a big-endian number. */
  readonly firstWord: number
  /** The next four, where both change with time; undefined where any are valid. */
  readonly secondWord?: number
  /** Destination port; null for every port. */
  readonly port: number | null
  /** By which interfaces it must come in; empty for all. */
  readonly interfaces: readonly string[]
}

/** The same for datagrams of several lengths, by their first byte alone. */
interface VariedShape {
  /** The UDP header's length field: payload and 8. */
  readonly udpLengths: readonly number[]
  readonly firstBytes: readonly number[]
  /** Destination port; null for every port. */
  readonly port: number | null
  /** By which interfaces it must come in; empty for all. */
  readonly interfaces: readonly string[]
}

export type KnockShape = FixedShape | VariedShape

/** What a verdict's mark makes the kernel do: add a source to these services' sets, or delete it from them. */
export interface GrantAction {
  /** From 1; the number that the mark carries. */
  readonly number: number
  readonly grants: readonly { readonly service: ServiceSpec; readonly seconds: number }[]
  /** Deletes the source from the services' sets instead. */
  readonly revokes: boolean
  /** The packet goes on to the program that listens on its port, as a step of a sequence does; otherwise it ends here. */
  readonly passOn: boolean
}

export interface PacketPathSpec {
  readonly hook: Hook
  readonly queue: number
  /** Whether the kernel has the `queue` statement. */
  readonly native: boolean
  readonly marks: Marks
  readonly shapes: readonly KnockShape[]
  /** UDP lengths of knocks that begin with a tag: what is as long and has none of the shapes is counted. */
  readonly taggedLengths: readonly number[]
  /** Single knocks of sequences; null when there are none. */
  readonly sequencePorts: SequencePorts | null
  readonly actions: readonly GrantAction[]
  /** Candidates a second that one source (for IPv6 one /64) may send on; the burst is twice that. */
  readonly perSourceLimit: number
  /** Candidates a second that the sources of one network (for IPv4 one /16, for IPv6 one /32) may send on together. */
  readonly perNetworkLimit: number
  /** Candidates a second that all above these limits may send on together; 0 for none. */
  readonly excessLimit: number
  /** Candidates a second in all; 0 for no limit. */
  readonly totalLimit: number
}

/** The packet path for the services that there will be. */
export type PacketPathFor = (services: ReadonlyMap<string, ServiceSpec>) => PacketPathSpec

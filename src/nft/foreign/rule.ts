/** Rules of others, as far as it matters which packets they let pass: what a rule asks of a packet, and what it does. */
import type { IpFamily, PortRange } from '../../net/index.js'

export type Condition =
  | { readonly kind: 'protocol'; readonly numbers: readonly number[]; readonly not: boolean }
  | { readonly kind: 'port'; readonly ranges: readonly PortRange[]; readonly not: boolean }
  /** Comes in by an interface of these names; one that ends with `*` stands for all that begin so. */
  | { readonly kind: 'interface'; readonly names: readonly string[]; readonly not: boolean }
  /** Is sent to an address of these prefixes. */
  | { readonly kind: 'destination'; readonly prefixes: readonly string[]; readonly not: boolean }
  /** DNAT has changed its destination. */
  | { readonly kind: 'translated'; readonly not: boolean }
  /** Comes from certain sources; of a set without elements, from none now. `prefixes`, where they are known. */
  | {
      readonly kind: 'source'
      readonly empty: boolean
      readonly not: boolean
      readonly version?: IpFamily
      readonly prefixes?: readonly string[]
    }
  /** Is within a rate: holds for every source, if not for every packet. */
  | { readonly kind: 'rate' }
  /** Holds for no packet that begins a connection from outside. */
  | { readonly kind: 'never' }
  /** Holds for some: all that is not understood. */
  | { readonly kind: 'some' }

export type Action =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  /** Bits of the packet mark that may be set by it. */
  | { readonly kind: 'mark'; readonly bits: number }
  /** To another port of this machine; null = the port stays. */
  | { readonly kind: 'redirect'; readonly port: number | null }
  /** To another address, null = unknown, and another port, null = the port stays. */
  | { readonly kind: 'dnat'; readonly address: string | null; readonly port: number | null }
  | { readonly kind: 'queue'; readonly number: number | null }

export interface Rule {
  readonly conditions: readonly Condition[]
  readonly actions: readonly Action[]
}

export interface RuleChain {
  readonly family: 'inet' | 'ip' | 'ip6'
  readonly table: string
  readonly name: string
  readonly rules: readonly Rule[]
  /** Only base chains have these. */
  readonly base?: {
    readonly hook: string
    readonly priority: number
    readonly policy: 'accept' | 'drop'
    readonly nat: boolean
  }
  /** The command by which such rules are made, where it is not nft. */
  readonly tool?: 'iptables-nft' | 'iptables-legacy'
}

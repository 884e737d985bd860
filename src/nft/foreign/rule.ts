/** Rules of others, as far as it matters which packets they let pass: what a rule asks of a packet, and what it does. */
import type { PortRange } from '../../net/index.js'

export type Condition =
  | { readonly kind: 'protocol'; readonly numbers: readonly number[]; readonly not: boolean }
  | { readonly kind: 'port'; readonly ranges: readonly PortRange[]; readonly not: boolean }
  /** Holds for no packet that begins a connection from outside. */
  | { readonly kind: 'never' }
  /** Holds for some: sources, limits, interfaces, all that is not understood. */
  | { readonly kind: 'some' }

export type Action =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  /** Bits of the packet mark that may be set by it. */
  | { readonly kind: 'mark'; readonly bits: number }
  /** To another address, or with `redirect` to this machine; null = the port stays. */
  | { readonly kind: 'dnat' | 'redirect'; readonly port: number | null }
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

/**
 * The comment of a chain's last rule says what cannot be seen from the rules alone without guessing: pkctl writes it
 * and reads it back, so that the kernel is the only place where a service is kept.
 */
import type { ServiceSpec } from './service-spec.js'
import { closings, protocols } from './service-spec.js'

const specPattern = /^pkctl (\w+) (\w+) (syn|all) (once|many) window=(\d+) prefix=(\d+)\/(\d+)( fail-open)?$/

export function encodeSpec(spec: ServiceSpec): string {
  const { protocol, closing, syn, singleUse, failOpen, window, prefix4, prefix6 } = spec
  const uses = singleUse ? 'once' : 'many'
  const end = failOpen ? ' fail-open' : ''
  return `pkctl ${protocol} ${closing} ${syn ? 'syn' : 'all'} ${uses} window=${window} prefix=${prefix4}/${prefix6}${end}`
}

/** What the comment of a chain's last rule says of the service; undefined when it is not one of ours. */
export function decodeSpec(comment: string | undefined) {
  const [, protocol, closing, syn, uses, window, prefix4, prefix6, end] = specPattern.exec(comment ?? '') ?? []
  if (!isOneOf(protocols, protocol) || !isOneOf(closings, closing)) return undefined
  return {
    protocol,
    closing,
    syn: syn === 'syn',
    singleUse: uses === 'once',
    failOpen: end !== undefined,
    window: Number(window),
    prefix4: Number(prefix4),
    prefix6: Number(prefix6),
  }
}

function isOneOf<T extends string>(values: readonly T[], value: string | undefined): value is T {
  return (values as readonly (string | undefined)[]).includes(value)
}

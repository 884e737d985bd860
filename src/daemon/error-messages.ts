/** The messages, of one line each, and hints of every error that pkctl knows. */
import { ConfigError, formatPosition } from '../config/config-error.js'
import type { NftErrorKind } from '../nft/nft-errors.js'
import { FirewallError, NftError } from '../nft/nft-errors.js'
import { QueueError } from '../queue/queue-error.js'
import type { Problem } from '../util/index.js'
import { UserError, ValueError } from '../util/index.js'
import { RefusedByDaemon } from './control-client.js'

export function problemsOf(error: unknown): readonly Problem[] {
  if (error instanceof RefusedByDaemon) return error.problems
  if (error instanceof ConfigError) {
    return error.problems.map(problem => problemOf(`${formatPosition(problem)}: ${problem.message}`, problem.hint))
  }
  if (error instanceof NftError) return [problemOf(error.message, nftHints[error.kind])]
  const known = [UserError, ValueError, FirewallError, QueueError].some(type => error instanceof type)
  const { message } = error as Error
  return [problemOf(message, known ? (error as { hint?: string }).hint : undefined)]
}

const problemOf = (message: string, hint: string | undefined): Problem =>
  hint === undefined ? { message } : { message, hint }

const nftHints: Partial<Record<NftErrorKind, string>> = {
  'missing-tool': 'install the packages nftables and, where the kernel lacks nft queue, iptables',
  permission: 'run as root, or with the capability CAP_NET_ADMIN',
  unsupported: 'the kernel needs nf_tables with the inet family (Linux 5.10 or later)',
  busy: 'another rule refers to it; after nft delete table inet pkctl, a running pkctld makes the table again, with the grants',
  full: 'a set of grants has reached its size; pkctl list shows who is in it',
}

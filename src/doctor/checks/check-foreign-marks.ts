/** Foreign rules that use packet marks or a queue of pkctl. */
import type { Config } from '../../config/types.js'
import { markSetters } from '../../nft/foreign/index.js'
import { gatePriority } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText } from './descriptions.js'

export function foreignMarks({ marks: { mask } }: Config, { chains, services }: KernelFacts): Finding[] {
  const hook = [...services.values()].some(({ spec }) => spec.hook === 'prerouting') ? 'prerouting' : 'input'
  return markSetters(chains, { mask, hook, priority: gatePriority }).map(chain =>
    finding(
      'foreign-mark',
      `${chainText(chain, chains)} may set bits of the packet mark that belong to pkctl (0x${mask.toString(16)}): on knocks, and on connections that wait behind one, pkctl clears them, and what they are for may fail`,
      "give pkctl other bits with 'marks: mask', and restart pkctld; or change that rule",
      { table: `${chain.family} ${chain.table}` },
    ),
  )
}

export function foreignQueues({ queue: { number } }: Config, { chains }: KernelFacts): Finding[] {
  const senders = chains.filter(({ rules }) =>
    rules.some(({ actions }) => actions.some(action => action.kind === 'queue' && action.number === number)),
  )
  return senders.map(chain =>
    finding(
      'foreign-queue',
      `${chainText(chain, chains)} also sends packets to queue ${number}: pkctld passes them on unchecked, and the program that expects them does not receive them`,
      "use another number there, or with 'queue: number' here, and restart pkctld",
      { table: `${chain.family} ${chain.table}` },
    ),
  )
}

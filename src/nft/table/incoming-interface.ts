/** How a packet comes in: by which interface, and whether it is for this machine. */
import type { Command, Expression, Hook } from '../nft-json.js'
import * as j from '../nft-json.js'
import type { ListedRule, Listing } from '../listing.js'
import { asArray, asObject, asText } from '../listing.js'

/** Matches what comes in by one of these interfaces; no condition when there are none. */
export const comesInBy = (interfaces: readonly string[]): Expression[] =>
  interfaces.length === 0 ? [] : [j.match(j.meta('iifname'), '==', oneOf(interfaces))]

/** Matches what comes in by any other interface. */
export const comesInElsewhere = (interfaces: readonly string[]): Expression =>
  j.match(j.meta('iifname'), '!=', oneOf(interfaces))

export const interfaceComment = 'by another interface'

/** The interfaces of a service, read back from its rules. */
export function readInterfaces(rules: readonly ListedRule[]): string[] {
  const [condition] = rules.find(({ comment }) => comment === interfaceComment)?.expr ?? []
  const names = asObject(asObject(condition)['match'])['right']
  return asArray(asObject(names)['set'] ?? names)
    .map(asText)
    .sort()
}

const oneOf = ([first = '', ...more]: readonly string[]): j.Json =>
  more.length === 0 ? first : { set: [first, ...more] }

/**
 * The device of a VRF. A packet that comes in by an interface in a VRF passes prerouting twice: by that interface, and then
 * by this device. Before Linux 6.16, `fib daddr type` looks into the table of the machine alone and takes the addresses
 * in a VRF for other machines', unless they are of the interface itself and it is asked for those; and in the second pass,
 * no rule can tell. What is queued in the second pass never arrives, whatever the answer: vrf_rcv_finish() of the kernel
 * drops it.
 */
const inVrf = j.match(j.meta('iifkind'), '==', 'vrf')

const destinationIs = (op: '==' | '!=', type: string, ...by: string[]) =>
  j.match({ fib: { result: 'type', flags: ['daddr', ...by] } }, op, type)

/**
 * The conditions of knocks and what matches packets for this machine, on a hook where those pass as well that are routed
 * onward: each with the verdict is a rule. What is in a VRF may be for this machine, and a knock need not arrive.
 */
export function knocksForThisMachine(hook: Hook, ...conditions: Expression[]): Expression[][] {
  if (hook === 'input') return [conditions]
  return [
    [...conditions, destinationIs('==', 'local')],
    // First, because it costs least.
    [inVrf, ...conditions],
  ]
}

/**
 * The first rules of a chain whose packets are queued, and go on when they are answered: `leave` is the verdict for those
 * that are not for this machine, and for those that pass for the second time.
 */
export const leaveOthers = (hook: Hook, leave: Expression): Expression[][] =>
  hook === 'input'
    ? []
    : [
        [inVrf, leave],
        [destinationIs('!=', 'local'), destinationIs('!=', 'local', 'iif'), leave],
      ]

/** The chain for what is certainly not for an address of the interface by which it came in, nor for any other. */
export const onwardChain = 'onward'

/**
 * Goes on to the other chain with what is routed onward. Broadcast, multicast and anycast reach local services as well;
 * only what is routed onward is not ours to judge. A packet can be for the address of another interface.
 */
export const leaveOnward: readonly Expression[] = [
  destinationIs('!=', 'local', 'iif'),
  destinationIs('==', 'unicast'),
  j.jump(onwardChain),
]

const onwardRules = [
  { expr: [inVrf, j.return_()], comment: 'by a VRF: perhaps for this machine' },
  // In a chain of its own: an interface without a kind, as most network cards are, would end a rule that says "not a VRF".
  { expr: [j.accept()], comment: 'routed onward' },
]

export const addOnwardChain = (): Command[] => [
  j.addChain(onwardChain),
  j.flushChain(onwardChain),
  ...onwardRules.map(({ expr, comment }) => j.addRule(onwardChain, expr, comment)),
]

export const dropOnwardChain = (listing: Listing): Command[] =>
  listing.chains.has(onwardChain) ? [j.flushChain(onwardChain), j.deleteChain(onwardChain)] : []

export function isOnwardSound(listing: Listing): boolean {
  const rules = listing.chains.get(onwardChain)?.rules ?? []
  return rules.length === onwardRules.length && onwardRules.every(({ comment }, i) => rules[i]?.comment === comment)
}

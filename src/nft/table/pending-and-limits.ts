/**
 * Sources that the packet path remembers for some seconds: those whose knock is on its way through the queue, so that
 * their connections wait behind it, and those that have sent candidates, so that each has its limit.
 */
import type { IpFamily } from '../../net/index.js'
import { bitsOf, ipFamilies } from '../../net/index.js'
import type { Command, Expression } from '../nft-json.js'
import * as j from '../nft-json.js'
import { addressType } from './service-sets.js'

const pendingSeconds = 2
/** An answered source counts until it is collected, a second later: room for what comes in that time. */
const pendingSize = 1_048_576
const meterSize = 65_536
const meterSeconds = 2

const pendingOf = (version: IpFamily) => `pending-${version}`
const meterOf = (version: IpFamily) => `meter-${version}`
const networksOf = (version: IpFamily) => `networks-${version}`

export const sourceSetNames = ipFamilies.flatMap(version => [pendingOf(version), meterOf(version), networksOf(version)])

export const addSourceSets = (): Command[] =>
  ipFamilies.flatMap(version => {
    const set = (name: string, size: number) =>
      j.addSet({ name, type: addressType(version), flags: ['timeout'], size, gcInterval: 1 })
    return [set(pendingOf(version), pendingSize), set(meterOf(version), meterSize), set(networksOf(version), meterSize)]
  })

/** Adds the source. It needs a rule of its own, before that which queues: a full set ends the rule that updates it. */
export const addPending = (version: IpFamily): Expression =>
  j.updateSet(pendingOf(version), j.source(version), pendingSeconds)

export const deletePending = (version: IpFamily): Expression => j.deleteFromSet(pendingOf(version), j.source(version))

export const isPending = (version: IpFamily): Expression => j.inSet(j.source(version), pendingOf(version))

/** A limit for each second, with a burst of twice that; matches what is within it, or with `over`, what exceeds it. */
export const packetLimit = (rate: number, over = false): j.Json =>
  j.limit({ count: rate, unit: 'second' }, 2 * rate, over)

/** Matches, and counts, a source that exceeds its limit. Addresses that one sender can take freely count as one: a /64. */
export const isOverLimit = (version: IpFamily, perSource: number): Expression =>
  j.updateSet(meterOf(version), j.source(version, version === 4 ? bitsOf(4) : 64), meterSeconds, [
    packetLimit(perSource, true),
  ])

/**
 * The same for a network: as a rule the largest in which its machines can take each other's addresses, where the network
 * does not prevent it. All networks of IPv4 have room in the set.
 */
export const isNetworkOverLimit = (version: IpFamily, perNetwork: number): Expression =>
  j.updateSet(networksOf(version), j.source(version, version === 4 ? 16 : 32), meterSeconds, [
    packetLimit(perNetwork, true),
  ])

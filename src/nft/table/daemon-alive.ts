/** The set by which services with fail-open know that a daemon listens for knocks. */
import { protocolNumbers } from '../../net/index.js'
import type { Command, SetDefinition } from '../nft-json.js'
import { addElements, deleteElements } from '../nft-json.js'

/** The protocols of services, while a daemon is there that listens for knocks. */
export const aliveSet = 'alive'

export const aliveSetDefinition: SetDefinition = { name: aliveSet, type: 'inet_proto', flags: ['timeout'] }

/** How long services with fail-open stay closed after a daemon has ended. */
const aliveSeconds = 15

/** The commands by which a daemon says that it is there, for `aliveSeconds`. */
export function refreshAlive(): Command[] {
  const elements = Object.values(protocolNumbers)
  const timed = elements.map(val => ({ elem: { val, timeout: aliveSeconds } }))
  // An element that is there keeps its time when it is added; and what is not there cannot be deleted.
  return [addElements(aliveSet, timed), deleteElements(aliveSet, elements), addElements(aliveSet, timed)]
}

import { usageError, UserError } from '../util/index.js'
import { findSource } from './find-source.js'
import type { HostEntry } from './host-entry.js'
import type { AddressFlags } from './knock-flags.js'
import type { Address } from './send.js'
import { resolve } from './send.js'

/** The addresses to knock at, as the flags and the host entry want it. */
export async function serverAddresses(entry: HostEntry, flags: AddressFlags): Promise<Address[]> {
  if (flags[4] && flags[6]) throw usageError('-4 and -6 exclude each other', 'leave both out to use either')
  const ofEntry = entry.family === undefined ? undefined : entry.family === '4' ? 4 : 6
  const family = flags[4] ? 4 : flags[6] ? 6 : ofEntry
  const sourceOf = flags.source === undefined ? undefined : findSource(flags.source, family)
  const found = await resolve(entry.host, family)
  if (!sourceOf) return found
  const reachable = found.flatMap(address => {
    const source = sourceOf(address.family)
    return source === undefined ? [] : [{ ...address, source }]
  })
  if (reachable.length > 0) return reachable
  const versions = found.map(each => `IPv${each.family}`).join(' and ')
  throw new UserError(`${flags.source} has no address for ${versions}, which ${entry.host} has`)
}

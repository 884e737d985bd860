/** What users write where an address is granted access: an address, a prefix, or the name of a host. */
import * as dns from 'node:dns/promises'
import type { IpFamily } from '../../net/index.js'
import { parseGranted } from '../../net/index.js'
import { quote, UserError } from '../../util/index.js'

interface GrantedSource {
  readonly version: IpFamily
  /** An address, or a prefix. */
  readonly source: string
}

/** `host`: the name of which these are the addresses, or null. */
export interface GrantedSources {
  readonly host: string | null
  readonly sources: readonly GrantedSource[]
}

const hostPattern = /^(?=.*[a-z])[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_.])?$/i

/** All addresses of a name count: by which the user comes is not known. Rejects with a ValueError or a UserError. */
export async function findSources(text: string, lookup = dns.lookup): Promise<GrantedSources> {
  if (!hostPattern.test(text)) return { host: null, sources: [parseGranted(text)] }
  let found: readonly { readonly address: string }[]
  try {
    found = await lookup(text, { all: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`the host name ${quote(text)} has no address: ${code}`, 'give an IPv4 or IPv6 address')
  }
  const sources = new Map(found.map(({ address }) => parseGranted(address)).map(one => [one.source, one]))
  return { host: text, sources: [...sources.values()] }
}

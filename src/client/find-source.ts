/** Where packets leave a machine that has several ways out: `--source`. */
import * as os from 'node:os'
import { isLinkLocal, parseAddress } from '../net/index.js'
import { usageError, UserError } from '../util/index.js'

/** The address that packets of this version of IP come from; undefined where there is none. */
type SourceOf = (family: 4 | 6) => string | undefined

type Interfaces = ReturnType<typeof os.networkInterfaces>

/**
 * An address, or the addresses of an interface. The interface itself is not bound to: that needs rights, and the routes
 * for its address decide. Throws a UserError.
 */
export function findSource(text: string, family: 4 | 6 | undefined, interfaces = os.networkInterfaces): SourceOf {
  const found: Interfaces = interfaces()
  // An alias such as eth0:1 is no address of IPv6.
  const own = Object.hasOwn(found, text) ? found[text] : undefined
  if (own) return ofInterface(text, own, family)
  if (!/^[\d.]+$|:/.test(text)) {
    throw new UserError(`there is no interface ${text} that is up and has an address`, "'ip address' lists them")
  }
  const { version, address } = parseAddress(text)
  if (family !== undefined && family !== version)
    throw usageError(`--source ${text} is an IPv${version} address, and IPv${family} is asked for`)
  return wanted => (wanted === version ? address : undefined)
}

function ofInterface(name: string, own: NonNullable<Interfaces[string]>, family: 4 | 6 | undefined): SourceOf {
  const addressOf = (wanted: 4 | 6) =>
    own.find(({ family: its, address }) => its === `IPv${wanted}` && !isLinkLocal(address))?.address
  if (family !== undefined && addressOf(family) === undefined)
    throw new UserError(`the interface ${name} has no IPv${family} address`, "'ip address' lists them")
  return addressOf
}

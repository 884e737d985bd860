/** Addresses that are always allowed, and can name a different machine on each link. */
import { familyOf, isLinkLocal, onlyLink, splitPrefix } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import { formatPath } from './config-path.js'
import type { Context } from './context.js'

/** What the machines of a whole link have; to allow all of them names none. */
const wholeLink = { 4: 16, 6: 64 } as const

export function warnOfLinkLocal(services: readonly ServiceSpec[], { merged, findings }: Context): void {
  for (const { name, allow, interfaces } of services) {
    const prefix = allow.find(one => {
      const { address, length } = splitPrefix(one)
      return isLinkLocal(address) && length > wholeLink[familyOf(one)]
    })
    if (prefix === undefined || onlyLink(interfaces) !== undefined) continue
    const place = ['services', name, 'allow']
    const why = `${prefix} can be a different machine on each link, and all of them have access; 'interface' with one name limits it to one`
    findings.warn(merged.positionOf(place), `${formatPath(place)}${why}`)
  }
}

/** What rules of others do to a service that is about to be made. */
import type { ServiceSpec } from '../nft/index.js'
import { publishedPast } from './checks/check-address-translation.js'
import { closedBy } from './checks/check-foreign-drops.js'
import type { Finding } from './finding.js'
import { kernelFacts } from './probes/probe-ruleset.js'

/** Empty where nft cannot be asked. */
export async function foreignFindings(spec: ServiceSpec): Promise<Finding[]> {
  const kernel = await kernelFacts(null, () => undefined)
  return kernel ? [...closedBy(spec, kernel), ...publishedPast(spec, [spec], kernel)] : []
}

/** `pkctl doctor`: gather facts, check them. */
export { checkAll } from './checks/check-all.js'
export type { Explanation } from './explain-address.js'
export { explainAddress } from './explain-address.js'
export { foreignFindings } from './foreign-findings.js'
export type { Finding, Level } from './finding.js'
export { findingsSummary } from './finding.js'
export { gatherFacts } from './probes/gather.js'

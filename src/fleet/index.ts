/** Servers that share grants: what they tell each other, and the engine between them. */
export type { ClaimStatus } from './claim.js'
export { Claims } from './claim.js'
export { EngineClaims } from './engine-claims.js'
export { RedisEngine } from './engine.js'
export type { FleetAnswer, FleetStatus, FleetTold } from './fleet-status.js'
export { Fleet } from './fleet.js'
export { OutboxFile } from './outbox-file.js'
export type { FleetChange } from './kernel-changes.js'

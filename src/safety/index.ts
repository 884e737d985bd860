/** Keeps users from locking themselves out. */
export type { LockoutFlags } from './lockout.js'
export { sessionGrantsJson, guardSession, hintAtSessionGrants } from './lockout.js'
export { arm, confirm, refuseWhileUnconfirmed, rollBackNow, rollbackState } from './rollback.js'
export type { Session } from './ssh-session.js'
export { findSession } from './ssh-session.js'

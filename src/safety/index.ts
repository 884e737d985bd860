/** Keeps users from locking themselves out. */
export type { LockoutFlags } from './lockout.js'
export { allowedJson, guardSession, hintAtAllowed } from './lockout.js'
export { arm, confirm, refuseWhilePending, rollbackState } from './rollback.js'
export type { Session } from './ssh-session.js'
export { findSession } from './ssh-session.js'

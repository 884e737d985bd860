/** Keeps users from locking themselves out. */
export { decidesOn } from './decides-on.js'
export type { LockoutFlags } from './guard-session.js'
export { sessionGrantsJson, guardSession, hintAtSessionGrants } from './guard-session.js'
export {
  arm,
  confirm,
  confirmOutlived,
  refuseWhileUnconfirmed,
  rollBackLeft,
  rollBackNow,
  rollBackOutlived,
  rollbackState,
  unconfirmed,
} from './rollback.js'
export { restoreFiles } from './undo-files.js'
export type { Session } from './ssh-session.js'
export { findSession } from './ssh-session.js'

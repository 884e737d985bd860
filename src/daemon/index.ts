/** The process pkctld. */
export type { ReloadAnswer } from './reload.js'
export { runDaemon } from './run.js'

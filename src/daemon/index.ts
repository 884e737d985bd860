/** The process pkctld. */
export type { ReloadAnswer } from './reload-configuration.js'
export { runDaemon } from './run.js'

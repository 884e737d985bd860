/** What a target is told. */
import type { NotifyEvent } from '../../config/types.js'
import type { LogLevel } from '../../controller/index.js'

/** One event, as a webhook gets it. */
export interface Notification {
  readonly event: NotifyEvent
  readonly level: LogLevel
  readonly message: string
  /** ISO 8601. */
  readonly time: string
  /** How many of this event came since the last notification, and were not told. */
  readonly suppressed: number
}

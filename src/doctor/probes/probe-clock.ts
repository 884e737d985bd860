import * as fs from 'node:fs'
import { isClockSynchronised } from '../../queue/index.js'
import type { ClockState } from '../facts.js'

/** The kernel knows it from whichever program keeps the time; where it may not be asked, systemd leaves a file. */
export function clockState(): ClockState {
  const synchronised = isClockSynchronised()
  if (synchronised !== undefined) return synchronised ? 'synchronised' : 'not-synchronised'
  return fs.existsSync('/run/systemd/timesync/synchronized') ? 'synchronised' : 'unknown'
}

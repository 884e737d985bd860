/** Reads files of one-time sequences so that a missing or short one is logged and stops nothing else. */
import type { OneTimeList } from '../../knock/index.js'
import { fewLeft } from '../../knock/index.js'
import type { ReadOneTime } from './active-credentials.js'
import type { Log } from '../report/log-interface.js'
import { count } from '../../util/index.js'

export function readOneTimeOrLog(file: string, read: ReadOneTime, log: Log): OneTimeList {
  try {
    const list = read(file)
    const left = list.unused.length
    if (left < fewLeft)
      log.warn(left === 0 ? `${file} has no sequence left` : `${file} has only ${count(left, 'sequence')} left`)
    return list
  } catch (error) {
    log.error(
      `the sequences of ${file} cannot be read, and no client can knock with them: ${(error as Error).message}`,
      {
        event: 'lockout-risk',
      },
    )
    return { unused: [] }
  }
}

/** All that is wrong or risky, from what is known of the machine. */
import type { Facts } from '../facts.js'
import type { Finding, Level } from '../finding.js'
import { judgeClock } from './check-clock.js'
import { judgeCredentials } from './check-credentials.js'
import { judgeDaemon } from './check-daemon.js'
import { judgeFiles } from './check-files.js'
import { judgeOthers } from './check-foreign-rules.js'
import { judgeMachine } from './check-machine.js'
import { judgeServices } from './check-services.js'

const order: readonly Level[] = ['error', 'warning', 'note']

/** The findings, errors first. `version` is pkctl's own. */
export function judge(facts: Facts, version: string): Finding[] {
  const findings = [
    ...judgeMachine(facts),
    ...judgeDaemon(facts, version),
    ...judgeServices(facts),
    ...judgeOthers(facts),
    ...judgeCredentials(facts),
    ...judgeClock(facts),
    ...judgeFiles(facts),
  ]
  return order.flatMap(level => findings.filter(one => one.level === level))
}

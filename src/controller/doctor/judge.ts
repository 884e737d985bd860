/** All that is wrong or risky, from what is known of the machine. */
import { judgeClock } from './clock.js'
import { judgeCredentials } from './credentials.js'
import { judgeDaemon } from './daemon.js'
import type { Facts } from './facts.js'
import { judgeFiles } from './files.js'
import type { Finding, Level } from './finding.js'
import { judgeMachine } from './machine.js'
import { judgeOthers } from './others.js'
import { judgeServices } from './services.js'

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

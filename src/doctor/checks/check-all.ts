/** All that is wrong or risky, from what is known of the machine. */
import type { Facts } from '../facts.js'
import type { Finding, Level } from '../finding.js'
import { checkClock } from './check-clock.js'
import { checkConfiguration } from './check-configuration.js'
import { checkCredentials } from './check-credentials.js'
import { checkDaemon } from './check-daemon.js'
import { checkFiles } from './check-files.js'
import { checkFleet } from './check-fleet.js'
import { checkForeignRules } from './check-foreign-rules.js'
import { checkInterfaces } from './check-interfaces.js'
import { checkMachine } from './check-machine.js'
import { checkServices } from './check-services.js'
import { checkSession } from './check-session.js'

const order: readonly Level[] = ['error', 'warning', 'note']

/** The findings, errors first. `version` is pkctl's own. */
export function checkAll(facts: Facts, version: string): Finding[] {
  const findings = [
    ...checkMachine(facts),
    ...checkDaemon(facts, version),
    ...checkFleet(facts),
    ...checkConfiguration(facts),
    ...checkServices(facts),
    ...checkInterfaces(facts),
    ...checkSession(facts),
    ...checkForeignRules(facts),
    ...checkCredentials(facts),
    ...checkClock(facts),
    ...checkFiles(facts),
  ]
  return order.flatMap(level => findings.filter(one => one.level === level))
}

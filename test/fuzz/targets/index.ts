/** All readers of input from outside that the fuzzer knows. */
import type { Target } from '../target.js'
import { configurationTargets } from './configuration.js'
import { fleetTargets } from './fleet.js'
import { importTargets } from './imports.js'
import { opensshTargets } from './openssh.js'
import { opensshClientTargets } from './openssh-client.js'
import { packetTargets } from './packets.js'
import { requestTargets } from './requests.js'
import { ruleTargets } from './rules.js'
import { sequenceTargets } from './sequences.js'
import { stateTargets } from './state.js'
import { userTargets } from './users.js'

export const targets: readonly Target[] = [
  ...packetTargets,
  ...sequenceTargets,
  ...opensshTargets,
  ...opensshClientTargets,
  ...importTargets,
  ...configurationTargets,
  ...requestTargets,
  ...ruleTargets,
  ...stateTargets,
  ...userTargets,
  ...fleetTargets,
]

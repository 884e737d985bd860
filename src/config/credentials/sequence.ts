/** Credentials that are knocked at fixed ports: src/knock/sequence-tracker.ts. */
import * as z from 'zod'
import type { Step } from '../../knock/index.js'
import { isAscending, maxSteps, parseStep } from '../../knock/index.js'
import { protocolTcp } from '../../net/index.js'
import { ValueError } from '../../util/index.js'
import { formatPath } from '../config-path.js'
import { listOf, mapping, parsed, textOrNumber } from '../schema-parts.js'
import { commonOptions, credentialKind } from './common.js'
import { stepsOf, stepsOptions } from './steps.js'
import type { SequenceCredential } from './any-credential.js'

const step = parsed(textOrNumber('a knock such as 7000 or 8000:udp'), value => readStep(String(value)))

function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw new ValueError((error as Error).message)
  }
}

const schema = mapping({
  type: z.literal('sequence').describe('What the credential is: knocks at fixed ports, in their order.'),
  sequence: listOf('knocks such as 7000 or 8000:udp', step)
    .min(1, { error: () => 'expected at least one knock' })
    .max(maxSteps, { error: () => `expected at most ${maxSteps} knocks` })
    .describe('The ports to knock at, in their order: 7000 or 7000:tcp, 8000:udp.'),
  ...stepsOptions,
  ...commonOptions,
})

export const kind = credentialKind({
  schema,
  secrets: {},
  load({ common, data, at, context }): SequenceCredential {
    const { merged, findings } = context
    const { sequence: steps } = data
    const shared = stepsOf(
      data,
      at,
      context,
      steps.some(({ protocol }) => protocol === protocolTcp),
    )
    if (isAscending(steps)) {
      const place = [...at, 'sequence']
      const why = 'each port is higher than the one before, as a port scan takes them; mix them'
      findings.warn(merged.positionOf(place), `${formatPath(place)}${why}`)
    }
    return { ...common, ...shared, type: 'sequence', steps }
  },
})

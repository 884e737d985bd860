/** Credentials whose sequences are in a file and are used once each: src/knock/one-time.ts. */
import * as path from 'node:path'
import * as z from 'zod'
import { fewLeft, readOneTime } from '../../knock/index.js'
import { count, oneLine, reasonOf } from '../../util/index.js'
import { formatPath } from '../config-path.js'
import { maxOneTimeFileBytes } from '../one-time-file.js'
import { expected, mapping } from '../schema-parts.js'
import { commonOptions, credentialKind } from './common.js'
import { stepsOf, stepsOptions } from './steps.js'
import type { OneTimeCredential } from './any-credential.js'

const schema = mapping({
  type: z.literal('one-time').describe('What the credential is: sequences from a file, each good for once.'),
  'sequences-file': z
    .string({ error: expected('a path') })
    .min(1, { error: () => 'expected a path, got empty text' })
    .describe(
      'The file with a sequence on each line, such as "7000,8000:udp,9000" after a space; a used one gets a # in front.',
    ),
  ...stepsOptions,
  ...commonOptions,
})

export const kind = credentialKind({
  schema,
  secrets: {},
  load({ common, data, at, context }): OneTimeCredential | undefined {
    const { merged, findings, reader } = context
    const shared = stepsOf(data, at, context)
    const place = [...at, 'sequences-file']
    const file = path.resolve(path.dirname(merged.fileOf(at)), data['sequences-file'])
    const about = `${formatPath(place)}${oneLine(file)}`
    try {
      const list = readOneTime(reader.readNamed(file, maxOneTimeFileBytes))
      if (list.unused.length === 0)
        findings.warn(merged.positionOf(place), `${about} has no sequence left: no client can knock`)
      else if (list.unused.length < fewLeft)
        findings.warn(merged.positionOf(place), `${about} has only ${count(list.unused.length, 'sequence')} left`)
    } catch (cause) {
      findings.problem(merged.positionOf(place), `${about} cannot be used: ${reasonOf(cause)}`)
      return undefined
    }
    try {
      reader.canWrite(file)
    } catch (cause) {
      const effect = 'pkctld cannot mark sequences as used, so no sequence in it opens anything'
      findings.warn(merged.positionOf(place), `${about} cannot be written (${reasonOf(cause)}): ${effect}`)
    }
    return { ...common, ...shared, type: 'one-time', file }
  },
})

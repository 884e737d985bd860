/** The secrets of credentials: each in an option of its own, or in the first line of a file that another option names. */
import * as z from 'zod'
import { SecretFormatError } from '../../knock/index.js'
import { oneLine, ValueError } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { expectedSecret, parsed } from '../schema-parts.js'
import type { SecretFile } from '../secrets.js'

/** A secret as `parse` reads it, which says in words what it must be. */
export const keyOption = <K>(parse: (text: string) => K) => parsed(z.string({ error: expectedSecret('text') }), parse)

export const secretPath = () =>
  z.string({ error: expectedSecret('a path') }).min(1, { error: () => 'expected a path, got empty text' })

export const keyFileOption = (what: string) =>
  secretPath()
    .optional()
    .describe(`The file whose first line is the ${what}; a relative path starts at the directory of this file.`)

/** The secret in the file; undefined where there is no file, or after a problem. `at`: the option that names the file. */
export function keyInFile<K>(
  file: SecretFile | undefined,
  parse: (text: string) => K,
  at: ConfigPath,
  { merged, findings }: Context,
): K | undefined {
  if (!file) return undefined
  try {
    return parse(file.line)
  } catch (cause) {
    if (!(cause instanceof ValueError || cause instanceof SecretFormatError)) throw cause
    const where = `${formatPath(at)}${oneLine(file.path)}`
    findings.problem(merged.positionOf(at), `${where} holds no usable key: ${cause.message}`)
    return undefined
  }
}

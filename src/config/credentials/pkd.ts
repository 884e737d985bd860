/** Credentials for the PKD knock: src/knock/pkd.ts and pkd-on-behalf.ts. */
import * as z from 'zod'
import { parsePkdKey, parseTag, SecretFormatError } from '../../knock/index.js'
import { oneLine } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { expected, expectedSecret, mapping, parsed } from '../schema-parts.js'
import type { SecretFile } from '../secrets.js'
import { commonOptions, credentialKind } from './common.js'
import { limitOptions, onBehalfOptions, onBehalfPrefixes, portOption } from './packet-options.js'
import type { PkdCredential } from './any-credential.js'

const schema = mapping({
  type: z.literal('pkd').describe('The kind of knock: pkd, the UDP datagram of ipt_pkd and nf-pkd.'),
  tag: parsed(z.string({ error: expected('text') }), parseTag)
    .prefault('PKD0')
    .describe('The first 4 bytes of the knock, as text, or as hex after 0x. Default: PKD0'),
  key: parsed(z.string({ error: expectedSecret('text') }), parsePkdKey)
    .optional()
    .describe('The secret, 1 to 40 bytes, as text, or as hex after 0x; either this or key-file is needed.'),
  'key-file': z
    .string({ error: expectedSecret('a path') })
    .min(1, { error: () => 'expected a path, got empty text' })
    .optional()
    .describe('The file whose first line is the secret; a relative path starts at the directory of this file.'),
  ...portOption,
  ...commonOptions,
  ...limitOptions,
  ...onBehalfOptions,
})

export const kind = credentialKind({
  schema,
  secrets: { key: 'needed' },
  verbatim: ['tag'],
  identifiedBy: 'tag and key',
  load({ common, data, secrets: { key: file }, at, context }): PkdCredential | undefined {
    const { tag, port, skew } = data
    const key = data.key ?? (file && keyIn(file, [...at, 'key-file'], context))
    if (key === undefined) return undefined
    const keyFrom = file ? { kind: 'file' as const, path: file.path } : { kind: 'inline' as const }
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    return { ...common, type: 'pkd', tag, key, keyFrom, port, skew, onBehalfOf }
  },
})

function keyIn({ path, line }: SecretFile, at: ConfigPath, { merged, findings }: Context) {
  try {
    return parsePkdKey(line)
  } catch (cause) {
    if (!(cause instanceof SecretFormatError)) throw cause
    findings.problem(merged.positionOf(at), `${formatPath(at)}${oneLine(path)} holds no usable key: ${cause.message}`)
    return undefined
  }
}

/** Credentials for the PKD knock: src/knock/pkd.ts and pkd-on-behalf.ts. */
import * as z from 'zod'
import { parsePkdKey, parseTag } from '../../knock/index.js'
import { expected, mapping, parsed } from '../schema-parts.js'
import { commonOptions, credentialKind } from './common.js'
import { keyFileOption, keyInFile, keyOption } from './key-options.js'
import { limitOptions, onBehalfOptions, onBehalfPrefixes, onceOf, onceOption, portOption } from './packet-options.js'
import type { PkdCredential } from './any-credential.js'

const schema = mapping({
  type: z.literal('pkd').describe('The kind of knock: pkd, the UDP datagram of ipt_pkd and nf-pkd.'),
  tag: parsed(z.string({ error: expected('text') }), parseTag)
    .prefault('PKD0')
    .describe('The first 4 bytes of the knock, as text, or as hex after 0x. Default: PKD0'),
  key: keyOption(parsePkdKey)
    .optional()
    .describe('The secret, 1 to 40 bytes, as text, or as hex after 0x; either this or key-file is needed.'),
  'key-file': keyFileOption('secret'),
  ...portOption,
  ...commonOptions,
  ...limitOptions,
  ...onceOption,
  ...onBehalfOptions,
})

export const kind = credentialKind({
  schema,
  secrets: { key: 'needed' },
  verbatim: ['tag'],
  identifiedBy: 'tag and key',
  load({ common, data, secrets: { key: file }, at, context }): PkdCredential | undefined {
    const { tag, port, skew } = data
    const key = data.key ?? keyInFile(file, parsePkdKey, [...at, 'key-file'], context)
    if (key === undefined) return undefined
    const keyFrom = file ? { kind: 'file' as const, path: file.path } : { kind: 'inline' as const }
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    return { ...common, type: 'pkd', tag, key, keyFrom, port, skew, onBehalfOf, ...onceOf(data, at, context) }
  },
})

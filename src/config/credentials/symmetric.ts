/** Credentials for the knock of a device that has a key of its own: src/knock/pk1/symmetric.ts. */
import * as z from 'zod'
import { parseSymmetricKey } from '../../knock/index.js'
import { mapping, parsed, text } from '../schema-parts.js'
import { serverIdentity } from '../server-identity.js'
import { commonOptions, credentialKind } from './common.js'
import { keyFileOption, keyInFile, keyOption } from './key-options.js'
import {
  limitOptions,
  maxWindowOption,
  onBehalfOptions,
  onBehalfPrefixes,
  onceOf,
  onceOption,
  portOption,
  parseIdentityOption,
} from './packet-options.js'
import type { SymmetricCredential } from './any-credential.js'

const schema = mapping({
  type: z.literal('symmetric').describe("The kind of knock: symmetric, pkctl's own for a device that has no SSH key."),
  key: keyOption(parseSymmetricKey)
    .optional()
    .describe('The secret, 32 bytes in hex after 0x; either this or key-file is needed.'),
  'key-file': keyFileOption('secret'),
  identity: parsed(text('an identity such as pk1:…'), parseIdentityOption)
    .optional()
    .describe("The identity that the device knocks at. Default: the server's own"),
  ...portOption,
  ...commonOptions,
  ...limitOptions,
  ...onceOption,
  ...maxWindowOption,
  ...onBehalfOptions,
})

export const kind = credentialKind({
  schema,
  secrets: { key: 'needed' },
  identifiedBy: 'key',
  load({ common, data, secrets: { key: file }, at, context }): SymmetricCredential | undefined {
    const key = data.key ?? keyInFile(file, parseSymmetricKey, [...at, 'key-file'], context)
    const identity = data.identity ?? serverIdentity(at, context)
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    if (key === undefined || identity === undefined) return undefined
    const { port, skew } = data
    return {
      ...common,
      type: 'symmetric',
      identity,
      key,
      port,
      skew,
      onBehalfOf,
      maxWindow: data['max-window'] ?? null,
      ...onceOf(data, at, context),
    }
  },
})

/** Credentials for the knock that a key of OpenSSH signs: src/knock/pk1/signed.ts. */
import * as path from 'node:path'
import * as z from 'zod'
import { readServerKey } from '../../knock/index.js'
import { oneLine, quote, ValueError } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { listOf, mapping, parsed, text } from '../schema-parts.js'
import { readSecretFile } from '../secrets.js'
import { privateKeyOf, serverKey } from '../server-identity.js'
import { commonOptions, credentialKind } from './common.js'
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
import type { KeyPath, SshCredential } from './any-credential.js'

const keyFiles = (what: string) => {
  const file = parsed(text('a path'), checkPath)
  return z
    .union([file.transform(one => [one]), listOf('paths', file)], {
      error: () => 'expected a path, or a list of paths',
    })
    .prefault([])
    .describe(`${what}, one path or a list; ~alice/… is below the home directory of alice. Default: []`)
}

const schema = mapping({
  type: z.literal('ssh').describe("The kind of knock: ssh, pkctl's own, signed by a key of OpenSSH."),
  'authorized-keys': keyFiles('Files with public keys, as the authorized_keys of sshd'),
  'ca-keys': keyFiles(
    'Files with the public keys of CAs whose user certificates pkctld accepts, as the TrustedUserCAKeys of sshd',
  ),
  'revoked-keys': keyFiles('Files with revoked keys and certificates, as the RevokedKeys of sshd'),
  principals: listOf('names', parsed(text('a name'), checkPrincipal))
    .prefault([])
    .describe('Names of which a certificate must have one, unless the line of its CA has other ones. Default: []'),
  identity: parsed(text('an identity such as pk1:…'), parseIdentityOption)
    .optional()
    .describe("The identity that users knock at, for servers that share its key. Default: the server's own"),
  'identity-file': text('a path')
    .min(1, { error: () => 'expected a path, got empty text' })
    .optional()
    .describe(
      "The key pair of a group of servers, as 'pkctl keygen --group' makes it, for users who knock at all of them. A captured knock opens each of them once.",
    ),
  ...portOption,
  ...commonOptions,
  ...limitOptions,
  ...onceOption,
  ...maxWindowOption,
  ...onBehalfOptions,
})

export const kind = credentialKind({
  schema,
  secrets: {},
  load({ common, data, at, context }): SshCredential | undefined {
    const { port, skew, principals } = data
    const read = (option: 'authorized-keys' | 'ca-keys' | 'revoked-keys') =>
      data[option].map(file => keyPath(file, context.merged.fileOf([...at, option])))
    const [authorizedKeys, caKeys] = [read('authorized-keys'), read('ca-keys')]
    checkSources(authorizedKeys.length, caKeys.length, principals.length, at, context)
    const onBehalfOf = onBehalfPrefixes(data, at, context)
    const key = keyFor(data, at, context)
    if (!key) return undefined
    const keys = { authorizedKeys, caKeys, revokedKeys: read('revoked-keys'), principals }
    const more = { maxWindow: data['max-window'] ?? null, ...onceOf(data, at, context) }
    return { ...common, type: 'ssh', ...key, ...keys, port, skew, onBehalfOf, ...more }
  },
})

/** What users knock at, and what decrypts their knocks; undefined after a problem. */
function keyFor(
  { identity, 'identity-file': file }: { readonly identity?: Buffer | undefined; 'identity-file'?: string | undefined },
  at: ConfigPath,
  context: Context,
): Pick<SshCredential, 'identity' | 'privateKey'> | undefined {
  if (file === undefined)
    return identity ? { identity, privateKey: privateKeyOf(identity, context) } : serverKey(at, context)
  const { merged, findings } = context
  const place = [...at, 'identity-file']
  const refuse = (message: string, hint?: string): undefined => {
    findings.problem(merged.positionOf(place), `${formatPath(place)}${message}`, hint)
  }
  if (identity) return void refuse("'identity' is given as well; one is needed")
  const found = readSecretFile(path.resolve(path.dirname(merged.fileOf(place)), file), place, context)
  const key = found && readServerKey(`${found.line}\n`)
  if (found && !key) return void refuse(`${oneLine(found.path)} has no key pair`, "make it with 'pkctl keygen --group'")
  return key
}

/** A user whose home directory is meant, and the path there. */
const inHome = /^~([A-Za-z_][A-Za-z0-9_.-]*)\/(.+)$/

function checkPath(value: string): string {
  if (value === '') throw new ValueError('expected a path, got empty text')
  if (value.includes('\0')) throw new ValueError('a path has no NUL character')
  if (value.startsWith('~') && !inHome.test(value)) {
    throw new ValueError(`${quote(value)} names no user`, 'write ~alice/.ssh/authorized_keys')
  }
  return value
}

function keyPath(written: string, configuration: string): KeyPath {
  const [, user, below] = inHome.exec(written) ?? []
  if (user !== undefined && below !== undefined) return { written, user, path: below }
  return { written, user: null, path: path.resolve(path.dirname(configuration), written) }
}

function checkPrincipal(value: string): string {
  if (/^[^\s,"]+$/.test(value)) return value
  throw new ValueError(`${quote(value)} is not the name of a principal`)
}

function checkSources(
  keys: number,
  authorities: number,
  principals: number,
  at: ConfigPath,
  { merged, findings }: Context,
): void {
  const place = merged.positionOf(at)
  if (keys + authorities === 0) {
    findings.problem(place, `${formatPath(at)}'authorized-keys' or 'ca-keys' is missing`)
  } else if (authorities > 0 && principals === 0) {
    const hint =
      'name with \'principals\' whose certificates count, or give the line of the CA the option principals="…"'
    findings.warn(place, `${formatPath(at)}'ca-keys' is given without 'principals'; ${hint}`)
  }
}

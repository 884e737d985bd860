/** Reads the credentials of the configuration, each type in its own way. */
import type { ConfigPath } from '../config-path.js'
import { isMapping } from '../config-path.js'
import type { Context } from '../context.js'
import { namedEntries } from '../context.js'
import { reportIssues } from '../issues.js'
import { readSecret } from '../secrets.js'
import { checkServiceNames, checkTriggers } from './checks.js'
import type { Secrets } from './common.js'
import { commonOf } from './common.js'
import type { Credential } from './credential-schemas.js'
import { credentialSchema, credentialKindOf } from './credential-schemas.js'

export function loadCredentials(context: Context): Credential[] {
  const { merged, findings } = context
  return namedEntries('credentials', context).flatMap(([name, given]) => {
    const at = ['credentials', name]
    // Also of a credential with other problems, so that all are told at once.
    const secrets = isMapping(given) ? readSecrets(given, at, context) : {}
    const { success, data, error } = credentialSchema.safeParse(given)
    if (!success) {
      reportIssues(error.issues, at, merged, findings)
      return []
    }
    checkServiceNames(data.opens ?? [], [...at, 'opens'], context)
    checkServiceNames(data.closes ?? [], [...at, 'closes'], context)
    checkTriggers(data, at, context)
    const credential = credentialKindOf(data.type)?.load({ common: commonOf(name, data), data, secrets, at, context })
    return credential ? [credential] : []
  })
}

function readSecrets(given: Record<string, unknown>, at: ConfigPath, context: Context): Secrets {
  const options = Object.entries(credentialKindOf(given['type'])?.secrets ?? {})
  const files = options.flatMap(([option, need]) => {
    const file = readSecret(given, option, need === 'needed', at, context)
    return file ? [[option, file] as const] : []
  })
  return Object.fromEntries(files)
}

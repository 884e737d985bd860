/** The files into which secrets are written, instead of the YAML. */
import * as path from 'node:path'
import { expandHome } from '../util/index.js'
import type { SecretPath } from './print-yaml.js'
import { UniqueNames } from './unique-names.js'

/** Files in that directory; without one, secrets stay in the YAML. */
export function secretPaths(directory: string | undefined): SecretPath {
  const names = new UniqueNames()
  return (entry, option) => {
    if (directory === undefined) return undefined
    const purpose = { 'open-secret': '-open', 'close-secret': '-close', 'hmac-key': '-hmac' }[option] ?? ''
    return path.resolve(expandHome(directory), names.make(`${entry}${purpose}`, 'key'))
  }
}

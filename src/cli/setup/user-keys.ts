/** The SSH keys that a user of this machine logs in with, for the knock of the same user. */
import * as fs from 'node:fs'
import path from 'node:path'
import { keysIn, keyText, optionsText } from '../../users/index.js'
import { count, oneLine, quote, UserError } from '../../util/index.js'
import { checkUserName, parseKeyFlag } from '../flags/public-key-flag.js'

/** A public key of the user. */
interface KnockerKey {
  /** As a `.pub` file has it. */
  readonly text: string
  /** Options before the key, as authorized_keys has them; empty where there are none. */
  readonly restrictions: string
}

/** Who knocks. */
export interface Knocker {
  readonly name: string
  /** At least one. */
  readonly keys: readonly KnockerKey[]
  /** Why lines of the file are left out; each one line. */
  readonly leftOut: readonly string[]
  /** The keys, for the plan. */
  readonly described: string
}

const usable = 'pkctl takes keys of type ed25519 and ecdsa (nistp256): ssh-keygen -t ed25519 makes one'

/** The user with the keys of ~/.ssh/authorized_keys. Throws a UserError where there is none that can knock. */
export function localUser(name: string): Knocker {
  const home = homeOf(name)
  if (home === undefined)
    throw new UserError(`this machine has no user ${quote(name)}`, `--user with --key takes a user who has no account`)
  const file = path.join(home, '.ssh/authorized_keys')
  const { keys: lines, problems } = keysIn(file)
  const keys = lines.map(line => ({ text: keyText(line.key, name), restrictions: optionsText(line) }))
  const leftOut = problems.map(({ line, message }) => `line ${line} of ${oneLine(file)}: ${oneLine(message)}`)
  if (keys.length === 0)
    throw new UserError(`${oneLine(file)} has no key that can sign a knock`, [...leftOut, usable].join('; '))
  const options = keys.some(({ restrictions }) => restrictions !== '') ? ', and the options before them' : ''
  return { name, keys, leftOut, described: `${count(keys.length, 'key')} of ~${name}/.ssh/authorized_keys${options}` }
}

/** A user with a public key as --key takes it: a file, the key itself, or - for stdin. */
export function userWithKey(name: string, given: string): Knocker {
  checkUserName(name)
  const { key } = parseKeyFlag(given)
  const keys = [{ text: keyText(key, name), restrictions: '' }]
  return { name, keys, leftOut: [], described: given === '-' ? 'the key from stdin' : 'the given key' }
}

function homeOf(name: string): string | undefined {
  const lines = fs.readFileSync('/etc/passwd', 'utf8').split('\n')
  const home = lines.map(line => line.split(':')).find(([user]) => user === name)?.[5]
  return home === undefined || home === '' ? undefined : home
}

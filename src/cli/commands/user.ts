import { Command } from 'commander'
import { parseInstant } from '../../config/values.js'
import { parseWindow } from '../../config/service-rules.js'
import type { Terminal } from '../../util/index.js'
import { configuredSocket } from '../../config/index.js'
import { defaultConfig, durationText, oneLine, quote, UserError } from '../../util/index.js'
import type { KeyPlace, CredentialUser } from '../../users/index.js'
import {
  addUser,
  allUsers,
  fingerprintText,
  keyPlaces,
  keyText,
  placeFor,
  revokeHomeKeys,
  revokeUser,
} from '../../users/index.js'
import { checkServiceName } from '../flags/flag-values.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'
import { checkUserName, keyFlag, madeText, parseKeyFlag } from '../flags/public-key-flag.js'
import { printRevoked, revokeGrants } from '../changes/revoke-grants.js'

interface PlaceFlags {
  readonly config: string
  readonly credential?: string
  readonly json?: boolean
}

interface AddFlags extends PlaceFlags {
  readonly key: string
  readonly opens?: string
  readonly window?: string
  readonly expires?: string
}

const help = `
The users are the lines of the authorized-keys files of credentials with type: ssh. The comment of a line is the name of its
user. pkctld reads the files again when they change.

Examples:
  pkctl user add alice --key alice.pub
  pkctl user add ci --key 'ssh-ed25519 AAAA…' --opens ssh --window 10m
  pkctl user revoke alice`

export function userCommand(terminal: Terminal): Command {
  const command = new Command('user').description('manage the users who knock with SSH keys').addHelpText('after', help)
  for (const make of [addCommand, listCommand, showCommand, revokeCommand, exportCommand])
    command.addCommand(make(terminal))
  return command
}

const withPlace = (command: Command) =>
  command
    .option('--credential <credential>', 'the credential of type ssh (default: the only one)')
    .option('--config <file>', 'configuration', defaultConfig)
const withJson = (command: Command) => command.option('--json', 'print one JSON object')

function addCommand(terminal: Terminal): Command {
  return withJson(withPlace(new Command('add')))
    .description('add a user with a public key; a second time changes nothing')
    .argument('<name>', 'name of the user')
    .usage('<name> --key <file> [options]')
    .requiredOption(...keyFlag)
    .option('--opens <services>', 'services that the key opens, with commas between them (default: as the credential)')
    .option('--window <time>', 'how long a grant lasts at most: 30s, 10m, 8h, 2d (default: as the credential)')
    .option('--expires <date>', 'when the key expires: 2030-01-31 or 2030-01-31T18:00:00Z')
    .action(async (name: string, flags: AddFlags) => {
      checkUserName(name)
      const place = placeFor(keyPlaces(flags.config), flags.credential, flags.config)
      const opens = flags.opens?.split(',').map(checkServiceName)
      const window = flags.window === undefined ? undefined : parseWindow(flags.window)
      // The last second at which it counts.
      const expiresAt = flags.expires === undefined ? undefined : parseInstant(flags.expires) - 1
      const key = parseKeyFlag(flags.key)
      const { changed, file, made } = addUser(place, { name, key: key.text, opens, window, expiresAt })
      const { credential } = place
      const fingerprint = fingerprintText(key.key)
      const sentence = `${name} may knock for ${credential} with ${fingerprint}`
      if (flags.json) terminal.out(jsonText({ changed, user: name, credential, file, type: key.key.type, fingerprint }))
      else if (changed) terminal.out(`${sentence}; the key is in ${oneLine(file)}`)
      else terminal.out(`nothing to do: ${sentence} already`)
      for (const list of made) terminal.hint(madeText(list))
      if (changed) await logChange(place.socket, sentence, { action: 'user-add', user: name, credential })
    })
}

function listCommand(terminal: Terminal): Command {
  return withJson(withPlace(new Command('list')))
    .description('list the users, and what their keys open')
    .action((flags: PlaceFlags) => {
      const users = usersOf(flags, terminal)
      if (flags.json) terminal.out(jsonText({ users: users.map(asJson) }))
      else if (users.length === 0) terminal.out('no users; pkctl user add NAME --key FILE adds one')
      else for (const user of users) print(user, terminal)
    })
}

function showCommand(terminal: Terminal): Command {
  return withJson(withPlace(new Command('show')))
    .description('show one user')
    .argument('<name>', 'name of the user')
    .action((name: string, flags: PlaceFlags) => {
      const users = named(name, usersOf(flags, terminal))
      if (flags.json) terminal.out(jsonText({ users: users.map(asJson) }))
      else for (const user of users) print(user, terminal)
    })
}

interface RevokeFlags extends PlaceFlags {
  readonly socket?: string
}

function revokeCommand(terminal: Terminal): Command {
  return withJson(withPlace(new Command('revoke')))
    .description(
      "remove a user, list the key as revoked where the credential has such a list, and revoke the user's grants",
    )
    .argument('<name>', 'name of the user')
    .option('--socket <path>', 'socket of the daemon, which knows the grants of the user (default: from the file)')
    .action(async (name: string, flags: RevokeFlags) => {
      const places = placesOf(flags)
      const socket = flags.socket ?? configuredSocket(flags.config)
      const homes = await revokeHomeKeys(places, name, keyPlaces(flags.config))
      const { removed, listedIn: lists } = revokeUser(places, name)
      const listedIn = [...new Set([...lists, ...homes.listedIn])]
      const gone = [...removed, ...homes.revoked]
      for (const user of [...removed, ...homes.listed]) {
        const change = { action: 'user-revoke', user: name, credential: user.credential } as const
        await logChange(socket, mayNoLonger(name, user), change)
      }
      const keys = [...new Set(gone.map(({ key }) => fingerprintText(key)))]
      const credential = flags.credential ?? null
      // Also where the line is gone already: the daemon may not have run when it was removed.
      const result = await revokeGrants(socket, { user: oneLine(name), keys, credential })
      const { revoked, kept } = 'problem' in result ? { revoked: null, kept: null } : result
      const changed = removed.length > 0 || homes.listed.length > 0 || (revoked?.length ?? 0) > 0
      if (flags.json) {
        const lines = removed.map(user => ({ credential: user.credential, file: user.file, ...keyJson(user) }))
        const { left } = homes
        terminal.out(jsonText({ changed, user: name, removed: lines, 'listed-in': listedIn, left, revoked, kept }))
        refuseLeft(homes.left)
        return
      }
      if (gone.length + homes.left.length === 0)
        terminal.out(`${changed ? '' : 'nothing to do: '}there is no user ${quote(name)}`)
      for (const user of gone) terminal.out(mayNoLonger(name, user))
      for (const file of listedIn) terminal.out(`the key is in the list of revoked keys ${oneLine(file)}`)
      printRevoked(result, name, terminal)
      refuseLeft(homes.left)
    })
}

/** Says that the user has not lost everything; throws a UserError. */
function refuseLeft(left: readonly string[]): void {
  if (left.length === 0) return
  throw new UserError(
    left.join('; '),
    "give the credential 'revoked-keys' with a file of public keys and run the command again, take the key out of the file, or list it yourself",
  )
}

const mayNoLonger = (name: string, { credential, key }: CredentialUser) =>
  `${name} may no longer knock for ${credential} with ${fingerprintText(key)}`

function exportCommand(terminal: Terminal): Command {
  return withPlace(new Command('export'))
    .description('print the public key of a user, as a .pub file has it')
    .argument('<name>', 'name of the user')
    .action((name: string, flags: PlaceFlags) => {
      const lines = named(name, usersOf(flags, terminal)).map(({ key }) => keyText(key, name))
      for (const line of new Set(lines)) terminal.out(line)
    })
}

function placesOf({ config, credential }: PlaceFlags): KeyPlace[] {
  const places = keyPlaces(config)
  const only = placeFor(places, credential ?? places[0]?.credential, config)
  return credential === undefined ? places : [only]
}

function usersOf(flags: PlaceFlags, terminal: Terminal): readonly CredentialUser[] {
  const { users, problems } = allUsers(placesOf(flags))
  for (const { file, line, message } of problems) terminal.warn(`${oneLine(file)}:${line}: ${message}`)
  return users
}

function named(name: string, users: readonly CredentialUser[]): readonly CredentialUser[] {
  const found = users.filter(({ comment }) => comment === name)
  if (found.length > 0) return found
  throw new UserError(`there is no user ${quote(name)}`, 'pkctl user list shows them')
}

const keyJson = ({ key }: CredentialUser) => ({ type: key.type, fingerprint: fingerprintText(key) })

const asJson = (user: CredentialUser) => ({
  user: user.comment,
  credential: user.credential,
  file: user.file,
  line: user.line,
  ...keyJson(user),
  authority: user.isCertAuthority,
  opens: user.opens,
  window: user.window,
  expires: user.expiresAt === null ? null : user.expiresAt + 1,
})

function print(user: CredentialUser, terminal: Terminal): void {
  const { comment, credential, opens, window, expiresAt, isCertAuthority } = user
  const parts = [
    ...(isCertAuthority ? ['signs certificates'] : []),
    `for ${credential}`,
    ...(opens ? [`opens ${oneLine(opens.join(', '))}`] : []),
    ...(window === null ? [] : [`${durationText(window)} at most`]),
    ...(expiresAt === null ? [] : [`until ${new Date((expiresAt + 1) * 1000).toISOString().replace('.000Z', 'Z')}`]),
  ]
  terminal.out(`${terminal.strong(oneLine(comment) || '(no name)')}  ${fingerprintText(user.key)}  ${parts.join('  ')}`)
}

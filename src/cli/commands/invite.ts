import * as os from 'node:os'
import { Command } from 'commander'
import { formatInvitation } from '../../client/index.js'
import { isMapping, loadConfig, readMerged } from '../../config/index.js'
import type { Config } from '../../config/types.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, defaultStateDirectory, quote, usageError, UserError } from '../../util/index.js'
import { checkUserName, madeText, publicKeyOf } from '../public-key-flag.js'
import { drawQrCode, qrCode } from '../qr-code.js'
import { hasServerKey, serverIdentity } from '../server-key-files.js'
import { whiteOnBlack } from '../real-terminal.js'
import { addUser, allUsers, keyPlaces, placeFor } from '../../users/index.js'

interface InviteFlags {
  readonly config: string
  readonly host?: string
  readonly qr?: boolean
  readonly key?: string
}

const help = `
The line contains the address of this server, the port of the knock, the identity, and the services. For a user with an SSH
key, it contains no secret. For a credential of type symmetric, it contains the key: send it so that others cannot read it.

On the server:   pkctl invite alice --host server.example
At the client:   pkctl join 'pkctl://server.example?id=pk1:…'`

export function inviteCommand(terminal: Terminal): Command {
  return new Command('invite')
    .description('print one line by which a client can knock here: see pkctl join')
    .argument('<name>', 'a user with an SSH key, or a credential of type ssh or symmetric')
    .option(
      '--host <host>',
      'name or address of this server, as clients reach it (default: its host name, if it has a domain)',
    )
    .option('--key <file>', "the user's public key, or - for stdin: adds the user, as pkctl user add does")
    .option('--qr', 'also draw the line as a QR code')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', help)
    .action((name: string, flags: InviteFlags) => {
      const host = hostOf(flags.host)
      makeIdentity(flags.config, terminal)
      if (flags.key !== undefined) add(name, flags.key, flags.config, terminal)
      const { config } = loadConfig(flags.config)
      const { credential, opens } = invited(name, config, flags.config)
      const services = opens.map(service => serviceOf(service, config))
      const key = 'key' in credential ? credential.key : null
      const line = formatInvitation({ host, port: credential.port, identity: credential.identity, services, key })
      if (flags.qr) draw(line, terminal)
      terminal.out(line)
      if (key) terminal.warn('the line has the secret key of the credential: send it so that others cannot read it')
      if (!credential.enabled) terminal.warn(`credential ${credential.name} is not enabled: its knocks do not count`)
    })
}

/** Makes the server's key pair, if a credential needs it and there is none. */
function makeIdentity(config: string, terminal: Terminal): void {
  const { credentials, ...value } = readMerged(config).value
  const all = isMapping(credentials) ? Object.values(credentials) : []
  const needs = (one: unknown) => isMapping(one) && kinds.includes(String(one['type'])) && one['identity'] === undefined
  if (!all.some(needs)) return
  const given = value['state-directory']
  const directory = typeof given === 'string' ? given : defaultStateDirectory
  if (hasServerKey(directory)) return
  serverIdentity(directory)
  terminal.hint('this server has an identity now, which pkctld reads at its next start or reload')
}

function add(name: string, key: string, config: string, terminal: Terminal): void {
  checkUserName(name)
  const place = placeFor(keyPlaces(config), undefined, config)
  const all = { opens: undefined, window: undefined, expiresAt: undefined }
  const { changed, made } = addUser(place, { name, key: publicKeyOf(key).text, ...all })
  for (const list of made) terminal.hint(madeText(list))
  if (changed) terminal.hint(`${name} is a new user of credential ${place.credential}`)
}

function draw(line: string, terminal: Terminal): void {
  const modules = qrCode(line)
  if (!modules) throw new UserError('the line is too long for a QR code', 'leave --qr out')
  for (const row of drawQrCode(modules).split('\n')) terminal.out(whiteOnBlack(row))
}

function hostOf(given: string | undefined): string {
  const host = given ?? os.hostname()
  if (given === undefined && !host.includes('.'))
    throw usageError('the address of this server is not known', 'name it with --host, as clients reach it')
  if (/^(?:[a-z0-9][a-z0-9._-]{0,252}|[0-9a-f:.]*:[0-9a-f:.]*)$/i.test(host)) return host
  throw usageError(`${quote(host)} is neither a name nor an address`)
}

const kinds = ['ssh', 'symmetric']

/** The credential that the user knocks with, and what the user can open. */
function invited(name: string, config: Config, file: string) {
  const withIdentity = config.credentials.flatMap(one => ('identity' in one ? [one] : []))
  const own = withIdentity.find(one => one.name === name)
  if (own) return { credential: own, opens: own.opens }
  const user = allUsers(keyPlaces(file)).users.find(({ comment }) => comment === name)
  const credential = withIdentity.find(one => one.name === user?.credential)
  if (user && credential) {
    const { opens } = user
    return { credential, opens: opens ? credential.opens.filter(service => opens.includes(service)) : credential.opens }
  }
  const other = config.credentials.find(one => one.name === name)
  if (other) {
    throw new UserError(
      `credential ${name} is of type ${other.type}; invitations are for ${kinds.join(' and ')}`,
      'pkctl keygen shows the host entry of a client with type pkd',
    )
  }
  throw new UserError(
    `there is no user or credential ${quote(name)}`,
    'pkctl user add adds a user; a credential of type symmetric is for a device without an SSH key',
  )
}

/** With its first port, if the configuration has the service. */
function serviceOf(name: string, { services }: Config) {
  const service = services.find(one => one.name === name)
  const isUdp = service?.protocol === 'udp'
  return { name, protocol: isUdp ? ('udp' as const) : ('tcp' as const), port: service?.ports[0]?.first }
}

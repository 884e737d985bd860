/** The line of an invitation: what a client needs to knock at this server. */
import * as os from 'node:os'
import { formatInvitation } from '../../client/index.js'
import { isMapping, loadConfig, readMerged } from '../../config/index.js'
import type { Config } from '../../config/types.js'
import { allUsers, keyPlaces } from '../../users/index.js'
import { defaultStateDirectory, quote, usageError, UserError } from '../../util/index.js'
import { hasServerKey, ensureServerIdentity } from './server-key-file.js'

/** Of a user or a credential that the configuration has, and the credential itself. Throws a UserError. */
export function invitationFor(name: string, host: string, file: string) {
  const { config } = loadConfig(file)
  const { credential, opens } = invited(name, config, file)
  const services = opens.map(service => serviceOf(service, config))
  const key = 'key' in credential ? credential.key : null
  const line = formatInvitation({ host, port: credential.port, identity: credential.identity, services, key })
  return { line, credential, hasSecret: key !== null }
}

/** Makes the server's key pair, if a credential needs it and there is none. Returns whether it is new. */
export function makeIdentity(config: string): boolean {
  const { credentials, ...value } = readMerged(config).value
  const all = isMapping(credentials) ? Object.values(credentials) : []
  const needs = (one: unknown) =>
    isMapping(one) &&
    kinds.includes(String(one['type'])) &&
    one['identity'] === undefined &&
    one['identity-file'] === undefined
  if (!all.some(needs)) return false
  const given = value['state-directory']
  const directory = typeof given === 'string' ? given : defaultStateDirectory
  if (hasServerKey(directory)) return false
  ensureServerIdentity(directory)
  return true
}

/** The address of this server, or its host name if that has a domain. Throws a usage error. */
export function hostOf(given: string | undefined): string {
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

/** The option `fleet`: what it needs, and what must not be shared. */
import { isIP } from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import type * as z from 'zod'
import { parseSymmetricKey } from '../knock/index.js'
import type { ServiceSpec } from '../nft/index.js'
import { isLinkLocal, prefixContains } from '../net/index.js'
import { decodeText, oneLine, reasonOf } from '../util/index.js'
import { formatPath, isMapping } from './config-path.js'
import type { Context } from './context.js'
import { checkServiceNames } from './credentials/checks.js'
import { keyInFile } from './credentials/key-options.js'
import type { fleet } from './fleet-schema.js'
import { fleetNamePattern } from './fleet-schema.js'
import { readSecretFile } from './secrets.js'
import type { Credential, FleetConfig } from './types.js'

const at = ['fleet']

/** Null where there is none, or after a problem. */
export function loadFleet(data: z.output<typeof fleet>, context: Context): FleetConfig | null {
  const { merged, findings } = context
  const { url } = data
  if (url === null) return null
  const node = data.node ?? os.hostname()
  for (const option of ['group', 'key-file'] as const) {
    if (data[option] === undefined)
      findings.problem(merged.positionOf(at), `${formatPath(at)}'${option}' is missing`, hints[option])
  }
  if (!fleetNamePattern.test(node))
    findings.problem(merged.positionOf(at), `${formatPath(at)}'node' is missing, and the host name cannot be it`)
  if (data['ca-file'] !== undefined && !url.tls)
    findings.problem(merged.positionOfKey([...at, 'ca-file']), `${formatPath(at)}'ca-file' needs a URL with rediss://`)
  const key = keyInFile(secretFile('key-file', data, context), parseSymmetricKey, [...at, 'key-file'], context)
  const password = secretFile('password-file', data, context)?.line ?? null
  const ca = certificates(data['ca-file'], context)
  if (data.user !== undefined && password === null && data['password-file'] === undefined)
    findings.problem(merged.positionOfKey([...at, 'user']), `${formatPath(at)}'user' needs 'password-file'`)
  if (data.group === undefined || key === undefined) return null
  const engine = { ...url, user: data.user ?? null, password, ca }
  const missing = missingAtEngine(engine)
  if (missing.length > 0) {
    const place = [...at, 'url']
    findings.warn(merged.positionOf(place), `${formatPath(place)}${openEngineText(missing)}`)
  }
  return {
    engine,
    group: { name: data.group, key },
    node,
    share: data.share,
    accept: data.accept,
    mostPerNode: data['most-grants'],
    longestWindowSeconds: data['longest-window'],
  }
}

const hints = {
  group: 'it is a name, the same on all servers of the fleet',
  'key-file': "make the key with 'pkctl keygen --out /etc/pkctl/keys/fleet', and copy it to the other servers",
}

function secretFile(option: 'key-file' | 'password-file', data: z.output<typeof fleet>, context: Context) {
  const file = data[option]
  return file === undefined ? undefined : readSecretFile(inDirectory(file, context), [...at, option], context)
}

const inDirectory = (file: string, { merged }: Context) => path.resolve(path.dirname(merged.fileOf(at)), file)

const maxCertificates = 1_000_000

function certificates(file: string | undefined, context: Context): string | null {
  if (file === undefined) return null
  const { merged, findings, reader } = context
  const place = [...at, 'ca-file']
  const name = inDirectory(file, context)
  const refuse = (message: string) => {
    findings.problem(merged.positionOf(place), `${formatPath(place)}${oneLine(name)} ${message}`)
    return null
  }
  try {
    const text = decodeText(reader.readNamed(name, maxCertificates))
    return text?.includes('-----BEGIN CERTIFICATE-----') ? text : refuse('has no certificate in PEM')
  } catch (cause) {
    return refuse(`cannot be read: ${reasonOf(cause)}`)
  }
}

/** A grant that one connection uses up is not shared: on each server another connection would. */
export function checkFleetServices(
  { share, accept }: FleetConfig,
  services: readonly ServiceSpec[],
  context: Context,
): void {
  for (const [option, names] of Object.entries({ share, accept })) {
    const place = [...at, option]
    checkServiceNames(names, place, context)
    for (const [i, name] of names.entries()) {
      if (!services.some(service => service.name === name && service.singleUse)) continue
      const message = `service '${name}' has 'single-use', and what one connection uses up cannot be shared`
      context.findings.problem(context.merged.positionOf([...place, i]), `${formatPath(place)}${message}`)
    }
  }
}

/** What would refuse all of their knocks. */
export function checkClaims(credentials: readonly Credential[], { merged, findings }: Context): void {
  const { fleet } = merged.value
  if (isMapping(fleet) && fleet['url'] !== undefined) return
  for (const credential of credentials) {
    if (!('once' in credential)) continue
    const place = ['credentials', credential.name, 'once']
    const hint = "'fleet' says where they ask each other"
    findings.problem(merged.positionOf(place), `${formatPath(place)}there is no fleet of servers`, hint)
  }
}

const privateNetworks = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '::1/128',
  'fc00::/7',
]

/** What is missing at an engine with a public address, where others may listen. A host name says nothing of that. */
export function missingAtEngine({ host, tls, password }: FleetConfig['engine']): string[] {
  if (isIP(host) === 0 || isLinkLocal(host) || privateNetworks.some(prefix => prefixContains(prefix, host))) return []
  return [...(tls ? [] : ['TLS']), ...(password === null ? ['password'] : [])]
}

export const openEngineText = (missing: readonly string[]): string =>
  `the engine has a public address, and no ${missing.join(' and no ')}: others can read which addresses have grants, and hold back messages`

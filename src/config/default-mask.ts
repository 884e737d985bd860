/** The bits of the packet mark: a mask for a configuration that names none, and whether a mask has room for all credentials. */
import type { ServiceSpec } from '../nft/index.js'
import { Marks } from '../nft/index.js'
import { formatPath } from './config-path.js'
import { isStepsType } from './host-interfaces.js'
import type { Context } from './context.js'
import type { Config, Credential } from './types.js'

/** With twice as many, the default mask has no number left for one more kind of grant during a reload. */
const maxActions = 31
const wideMask = 0xffff0000

/** `marks` as loaded. Warns where many kinds of grants need bits that other programs use as well. */
export function marksFor(
  marks: Config['marks'],
  credentials: readonly Credential[],
  services: readonly ServiceSpec[],
  { merged, findings }: Context,
): Config['marks'] {
  const section = merged.value['marks']
  const isGiven = typeof section === 'object' && section !== null && 'mask' in section
  const actions = new Set(credentials.flatMap(actionsOf)).size
  const isWide = !isGiven && actions > maxActions
  const mask = isWide ? wideMask : marks.mask
  const needed = numbersNeeded(credentials, services)
  const room = new Marks(mask).maxActions
  const place = isGiven ? ['marks', 'mask'] : ['credentials']
  const bits = `0x${mask.toString(16)}`
  if (needed > room) {
    const what = `the mask ${bits} has room for ${room} different sets of services and windows, and the credentials have ${needed}`
    findings.problem(merged.positionOf(place), `${formatPath(place)}${what}`, wider(mask))
  } else if (isWide) {
    const what = `they have ${actions} different sets of services and windows, so that the mark mask is ${bits} instead of 0xff`
    const message = `${formatPath(place)}${what}: Calico, Cilium and Tailscale use these bits, too; 'marks: { mask: … }' chooses others`
    findings.warn(merged.positionOf(place), message)
  }
  return { mask }
}

const wider = (mask: number): string =>
  `${mask === 0xffffffff ? '' : 'use a mask of more bits, or '}let credentials open the same services for the same time`

/** What one mark stands for: credentials that open, or close, the same for the same time share it, with those of their kind. */
const actionsOf = (credential: Credential): string[] =>
  requestsOf(credential).map(request => JSON.stringify([isStepsType(credential.type), ...request]))

type Request = readonly [revokes: boolean, names: readonly string[], window: number | null]

/** What its knocks do; a rotating one has other knocks to close. */
function requestsOf(credential: Credential): readonly Request[] {
  const { opens, closes, window } = credential
  const revokes = closes.length > 0
  const names = revokes ? closes : opens
  const isClosedByKnock = credential.type === 'rotating' && credential.close !== null
  return [[revokes, names, window], ...(isClosedByKnock && !revokes ? [[true, names, window] as const] : [])]
}

/**
 * How many numbers the daemon needs at least, when it starts: services that are not in the configuration may be in the kernel, and
 * need more.
 */
function numbersNeeded(credentials: readonly Credential[], services: readonly ServiceSpec[]): number {
  const windows = new Map(services.map(({ name, window }) => [name, window]))
  const enabled = credentials.filter(({ enabled }) => enabled)
  const keys = enabled.flatMap(credential =>
    requestsOf(credential).map(([revokes, names, window]) => {
      const grants = names.flatMap(name => (windows.has(name) ? [`${name}:${window ?? windows.get(name)}`] : []))
      return JSON.stringify([isStepsType(credential.type), revokes, ...grants])
    }),
  )
  return new Set(keys).size
}

/** What the credentials mean right now, piece by piece: each one is one thing that can be knocked, and its effect. */
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { OneTimeLine, PacketKnockCredential } from '../../config/index.js'
import type { Credential, StepsCredential } from '../../config/types.js'
import type { OneTimeList, Step } from '../../knock/index.js'
import { currentHours, rotatingSteps } from '../../knock/index.js'
import { addressBytes, onlyLink } from '../../net/index.js'
import type { GrantAction, SequencePorts } from '../../nft/index.js'
import type { ActionRequest } from '../ruleset/mark-allocator.js'
import type { PacketCredential } from './packet-credential.js'
import type { PacketSequence } from './sequence-verifier.js'

export type ActiveCredential =
  | { readonly kind: 'packet'; readonly credential: PacketKnockCredential; readonly revokes: boolean }
  | {
      readonly kind: 'steps'
      readonly credential: StepsCredential
      readonly steps: readonly Step[]
      readonly revokes: boolean
      /** Where its line stands, for a sequence that is good for once. */
      readonly once?: OneTimeLine
    }

/** Gives the sequences of a file that are not used yet. */
export type ReadOneTime = (file: string) => OneTimeList

/**
 * The active credentials at `now`, in Unix seconds: of a rotating credential, one for each hour that counts, to open and to close;
 * of sequences that are good for once, the next one.
 */
export function activeCredentials(
  credentials: readonly Credential[],
  now: number,
  readOneTime: ReadOneTime,
): ActiveCredential[] {
  return credentials.flatMap((credential): ActiveCredential[] => {
    const revokes = credential.closes.length > 0
    switch (credential.type) {
      case 'sequence':
        return [{ kind: 'steps', credential, steps: credential.steps, revokes }]
      case 'one-time': {
        const { file } = credential
        const [next] = readOneTime(file).unused
        return next ? [{ kind: 'steps', credential, steps: next.steps, revokes, once: { file, ...next } }] : []
      }
      case 'rotating': {
        const { open, close, hour, grace } = credential
        return currentHours(now, hour, grace).flatMap(start => [
          { kind: 'steps' as const, credential, steps: rotatingSteps(open, start), revokes },
          ...(close ? [{ kind: 'steps' as const, credential, steps: rotatingSteps(close, start), revokes: true }] : []),
        ])
      }
      default:
        return [{ kind: 'packet', credential, revokes }]
    }
  })
}

export function grantRequestOf({ kind, credential, revokes }: ActiveCredential): ActionRequest {
  const { opens, closes, window } = credential
  return { opens: closes.length > 0 ? closes : opens, window, revokes, passOn: kind === 'steps' }
}

const hasTriggers = ({ triggers }: Pick<Credential, 'triggers'>) =>
  Object.values(triggers).some(trigger => trigger !== null)

/** Gives the names of the devices of VRFs. */
type Vrfs = () => ReadonlySet<string>

export function packetCredential(
  { credential, revokes }: Extract<ActiveCredential, { kind: 'packet' }>,
  { number: action, grants: granted }: GrantAction,
  vrfs?: Vrfs,
): PacketCredential {
  const { name, type, port, skew, rate, onBehalfOf } = credential
  const maxWindow = 'maxWindow' in credential && typeof credential.maxWindow === 'number' ? credential.maxWindow : null
  const checked = knockFormats.secretOf(credential)
  const grants = granted.map(({ service: { name, protocol, ports }, seconds }) => ({
    service: name,
    protocol,
    ports,
    seconds,
  }))
  return {
    ...{ name, type, ...checked, port, skew, rate, action, grants, onBehalfOf, maxWindow, revokes },
    triggers: hasTriggers(credential),
    linkLocal: revokes || isForOneLink(credential, granted, vrfs),
    oncePerGroup: credential.once === 'group',
  }
}

/**
 * Whether knocks come in by one interface, and grants hold for this interface alone: so that a link-local source means one
 * machine.
 */
function isForOneLink(
  { interfaces }: Pick<Credential, 'interfaces'>,
  grants: GrantAction['grants'],
  vrfs?: Vrfs,
): boolean {
  const only = onlyLink(interfaces, vrfs)
  return grants.every(({ service }) => only !== undefined && onlyLink(service.interfaces, vrfs) === only)
}

export function packetSequence(
  one: Extract<ActiveCredential, { kind: 'steps' }>,
  action: GrantAction,
  vrfs?: Vrfs,
): PacketSequence {
  const { credential, steps, revokes, once } = one
  const { name, timeout, flags, rate } = credential
  return {
    name,
    steps,
    timeoutSeconds: timeout,
    flags,
    targets: credential.targets.map(addressBytes),
    rate,
    action: action.number,
    revokes,
    triggers: hasTriggers(credential),
    linkLocal: revokes || isForOneLink(credential, action.grants, vrfs),
    ...(once ? { once } : {}),
  }
}

/** What the kernel needs to know of all sequences together; null when there are none. */
export function sequencePortsOf(
  active: readonly ActiveCredential[],
  openPorts: readonly number[],
): SequencePorts | null {
  const sequences = active.flatMap(one => (one.kind === 'steps' ? [one] : []))
  if (sequences.length === 0) return null
  const steps = sequences.flatMap(one => one.steps)
  const ports = new Map(steps.map(step => [`${step.protocol} ${step.port}`, step]))
  return {
    ports: [...ports.values()],
    openPorts,
    flagRules: [
      ...new Map(sequences.map(({ credential: { flags } }) => [`${flags.mask} ${flags.value}`, flags])).values(),
    ],
    // They are the same for all: see src/config/credentials/checks.ts.
    interfaces: sequences[0]?.credential.interfaces ?? [],
    seconds: Math.max(...sequences.map(one => one.credential.timeout)),
  }
}

/** What the credentials mean right now, piece by piece: each door is one thing that can be knocked, and its effect. */
import type { OneTimeLine } from '../config/one-time-file.js'
import type { Credential, PkdCredential, StepsCredential } from '../config/types.js'
import type { OneTimeList } from '../knock/one-time.js'
import { currentHours, rotatingSteps } from '../knock/rotating.js'
import type { Step } from '../knock/sequence.js'
import { addressBytes } from '../net/addresses.js'
import type { Plan } from '../nft/table/packet-path.js'
import type { Stepping } from '../nft/table/sequence-rules.js'
import type { Opening } from './mark-allocator.js'
import type { GateSequence } from './sequence-verifier.js'
import type { GateCredential } from './verifier.js'

export type Door =
  | { readonly kind: 'pkd'; readonly credential: PkdCredential; readonly revokes: boolean }
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
 * The doors at `now`, in Unix seconds: of a rotating credential, one for each hour that counts, to open and to close;
 * of sequences that are good for once, the next one.
 */
export function doorsOf(credentials: readonly Credential[], now: number, readOneTime: ReadOneTime): Door[] {
  return credentials.flatMap((credential): Door[] => {
    const revokes = credential.closes.length > 0
    switch (credential.type) {
      case 'pkd':
        return [{ kind: 'pkd', credential, revokes }]
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
    }
  })
}

export function openingOf({ kind, credential, revokes }: Door): Opening {
  const { opens, closes, window } = credential
  return { opens: closes.length > 0 ? closes : opens, window, revokes, passOn: kind === 'steps' }
}

const hasTriggers = ({ triggers }: Credential) => Object.values(triggers).some(trigger => trigger !== null)

export function gateCredential({ credential, revokes }: Extract<Door, { kind: 'pkd' }>, plan: number): GateCredential {
  const { name, tag, key, port, skew, rate, onBehalfOf } = credential
  return { name, tag, key, port, skew, rate, plan, onBehalfOf, revokes, triggers: hasTriggers(credential) }
}

export function gateSequence(door: Extract<Door, { kind: 'steps' }>, plan: Plan): GateSequence {
  const { credential, steps, revokes, once } = door
  const { name, timeout, flags, rate } = credential
  return {
    name,
    steps,
    timeoutSeconds: timeout,
    flags,
    targets: credential.targets.map(addressBytes),
    rate,
    plan: plan.number,
    revokes,
    triggers: hasTriggers(credential),
    ...(once ? { once } : {}),
  }
}

/** What the kernel needs to know of all sequences together; null when there are none. */
export function steppingOf(doors: readonly Door[], openPorts: readonly number[]): Stepping | null {
  const sequences = doors.flatMap(door => (door.kind === 'steps' ? [door] : []))
  if (sequences.length === 0) return null
  const steps = sequences.flatMap(door => door.steps)
  const ports = new Map(steps.map(step => [`${step.protocol} ${step.port}`, step]))
  return {
    ports: [...ports.values()],
    openPorts,
    flagRules: [
      ...new Map(sequences.map(({ credential: { flags } }) => [`${flags.mask} ${flags.value}`, flags])).values(),
    ],
    seconds: Math.max(...sequences.map(door => door.credential.timeout)),
  }
}

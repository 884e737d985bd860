/** What the credentials mean right now, piece by piece: each door is one thing that can be knocked, and its effect. */
import { currentHours, rotatingSteps } from '../knock/rotating.js'
import type { Step } from '../knock/sequence.js'
import type { Plan } from '../nft/queueing.js'
import type { Stepping } from '../nft/stepping.js'
import type { Credential, PkdCredential } from './config/types.js'
import type { GateCredential } from './gatekeeper.js'
import type { Opening } from './plans.js'
import type { GateSequence } from './stepkeeper.js'

export type Door =
  | { readonly kind: 'pkd'; readonly credential: PkdCredential }
  | {
      readonly kind: 'steps'
      readonly credential: Exclude<Credential, PkdCredential>
      readonly steps: readonly Step[]
      readonly revokes: boolean
    }

/** The doors at `now`, in Unix seconds: of a rotating credential, one for each hour that counts, to open and to close. */
export function doorsOf(credentials: readonly Credential[], now: number): Door[] {
  return credentials.flatMap((credential): Door[] => {
    switch (credential.type) {
      case 'pkd':
        return [{ kind: 'pkd', credential }]
      case 'sequence':
        return [{ kind: 'steps', credential, steps: credential.steps, revokes: false }]
      case 'rotating': {
        const { open, close, hour, grace } = credential
        return currentHours(now, hour, grace).flatMap(start => [
          { kind: 'steps' as const, credential, steps: rotatingSteps(open, start), revokes: false },
          ...(close ? [{ kind: 'steps' as const, credential, steps: rotatingSteps(close, start), revokes: true }] : []),
        ])
      }
    }
  })
}

export const openingOf = (door: Door): Opening => ({
  opens: door.credential.opens,
  window: door.credential.window,
  revokes: door.kind === 'steps' && door.revokes,
  passOn: door.kind === 'steps',
})

export function gateCredential({ name, tag, key, port, skew, rate }: PkdCredential, plan: number): GateCredential {
  return { name, tag, key, port, skew, rate, plan }
}

export function gateSequence(door: Extract<Door, { kind: 'steps' }>, plan: Plan): GateSequence {
  const { credential, steps, revokes } = door
  return { name: credential.name, steps, timeoutSeconds: credential.timeout, plan: plan.number, revokes }
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
    seconds: Math.max(...sequences.map(door => door.credential.timeout)),
  }
}

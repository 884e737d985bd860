/** Secrets that can be guessed, and credentials that open more than may be meant. */
import type { TriggerCommand, Credential } from '../../config/types.js'
import type { Step } from '../../knock/index.js'
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { checkKey, checkPacketKnock, sharedTags } from './check-packet-knocks.js'
import { checkRotating } from './check-rotating.js'
import { checkOneTime, checkSequence } from './check-sequences.js'
import { listed } from './descriptions.js'

export function checkCredentials({ configuration: { config, oneTime } }: Facts): Finding[] {
  const credentials = (config?.credentials ?? []).filter(({ enabled }) => enabled)
  return [
    ...credentials.flatMap(credential => [
      ...ofKind(credential, oneTime.get(credential.name)),
      ...shellTriggers(credential),
      ...(credential.window === Infinity ? [unlimited(credential)] : []),
    ]),
    ...sharedTags(credentials.filter(credential => credential.type === 'pkd')),
  ]
}

function ofKind(credential: Credential, lines: readonly (readonly Step[])[] | undefined): Finding[] {
  switch (credential.type) {
    case 'sequence':
      return checkSequence(credential.name, credential.steps)
    case 'one-time':
      return lines ? checkOneTime(credential, lines) : []
    case 'rotating':
      return checkRotating(credential)
    default:
      return [...('key' in credential ? checkKey(credential) : []), ...checkPacketKnock(credential)]
  }
}

function shellTriggers({ name, triggers }: Credential): Finding[] {
  const isShell = (command: TriggerCommand | null | undefined) =>
    command !== null && command !== undefined && 'shell' in command
  const events = (['open', 'close', 'expiry'] as const).filter(
    event => isShell(triggers[event]?.command) || isShell(triggers[event]?.command6),
  )
  if (events.length === 0) return []
  const message = `${name} runs ${listed(events.map(event => `on-${event}`))} by a shell, which also interprets characters such as $ and ; in the line`
  return [
    finding('shell-trigger', message, "use 'command' with a program and its arguments: it needs no shell", {
      credential: name,
    }),
  ]
}

function unlimited({ name }: Credential): Finding {
  const message = `a knock with ${name} grants access until you revoke it, even when the address later belongs to another person`
  return finding('unlimited-window', message, "'window: 8h', or as long as is needed", { credential: name })
}

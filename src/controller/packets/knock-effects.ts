/** What follows accepted knocks and sequences, and the mark of an answer cannot do: another thread does it. */
import type { Packet } from '../../queue/index.js'
import type { GrantDecision } from '../verify/decision.js'
import type { Effect } from '../report/knock-events.js'
import type { PacketSequence } from '../verify/sequence-verifier.js'

type AddressText = (packet: Packet) => string

type OnBehalf = Extract<Effect, { kind: 'on-behalf' }>

const none: readonly Effect[] = []

/** Whether the kernel carries the knock out by the mark of its answer: the others are carried out by commands. */
export const isByMark = ({ knock, part, closes }: GrantDecision): boolean => !knock.requested && !part && !closes

/** Whether a command takes back what the mark of the answer cannot. */
export const closesByCommand = (decision: GrantDecision): boolean =>
  decision.closes === true || (decision.credential.revokes && !isByMark(decision))

/** Whether a command follows, or a grant on behalf of another. */
export const isFollowed = (decision: GrantDecision): boolean =>
  decision.credential.triggers || decision.also !== undefined || decision.more !== undefined || !isByMark(decision)

/** Whether a command makes a grant for the source of the knock, which connections behind it need. */
export const isAwaited = (decision: GrantDecision): boolean =>
  decision.knock.requested === undefined &&
  !closesByCommand(decision) &&
  (!isByMark(decision) || decision.more?.some(one => !closesByCommand(one)) === true)

/**
 * What follows an accepted knock; an array of its own only where something does. `awaited`: what the last grant for the source
 * is to be known by when it is made.
 */
export function effectsOf(
  decision: GrantDecision,
  packet: Packet,
  addressText: AddressText,
  awaited?: number,
): readonly Effect[] {
  const { credential, knock, part, also, signer } = decision
  if (!signer && !isFollowed(decision)) return none
  const source = addressText(packet)
  const closes = closesByCommand(decision)
  const byCommand = (kind: 'on-behalf' | 'revoke', address: string): Effect => ({
    ...{ kind, credential: credential.name, address },
    ...(part ? { part } : {}),
  })
  // What a command revokes is noted when that is carried out.
  const effects: Effect[] = closes ? [] : notesOf(decision, source)
  if (also) effects.push(byCommand('on-behalf', also.address))
  if (!isByMark(decision)) effects.push(byCommand(closes ? 'revoke' : 'on-behalf', knock.requested?.address ?? source))
  else if (credential.triggers) effects.push(triggerOf(credential, source))
  for (const one of decision.more ?? []) effects.push(...effectsOf(one, packet, addressText))
  const last = effects.findLastIndex(({ kind }) => kind === 'on-behalf')
  if (awaited !== undefined && last >= 0) effects[last] = { ...(effects[last] as OnBehalf), awaited }
  return effects
}

/**
 * Who has signed is noted for each grant, so that a user's grants can be revoked. So is a grant by command without a
 * signature, before a knock that follows can close it; those that the kernel makes are noted by what the log is told.
 */
function notesOf({ credential, knock, also, part, signer }: GrantDecision, source: string): Effect[] {
  const { requested } = knock
  const by = credential.revokes ? 'close' : requested || part ? 'hand' : 'knock'
  const facts = {
    ...({ kind: 'signed', credential: credential.name } as const),
    ...(signer && { signer }),
    ...(part && { part }),
  }
  return [
    ...(signer || by === 'hand' ? [{ ...facts, by, address: requested?.address ?? source } as const] : []),
    ...(also ? [{ ...facts, by: 'hand', address: also.address } as const] : []),
  ]
}

/** What follows the last step of a sequence. */
export const effectsOfSequence = (
  sequence: PacketSequence,
  packet: Packet,
  addressText: AddressText,
): readonly Effect[] => (sequence.triggers ? [triggerOf(sequence, addressText(packet))] : none)

const triggerOf = (
  { name, revokes }: { readonly name: string; readonly revokes: boolean },
  address: string,
): Effect => ({
  kind: revokes ? 'closed' : 'opened',
  credential: name,
  address,
})

/** What follows accepted knocks and sequences, and the mark of an answer cannot do: another thread does it. */
import type { Packet } from '../../queue/index.js'
import type { Decision } from '../verify/decision.js'
import type { Effect } from '../report/knock-events.js'
import type { PacketSequence } from '../verify/sequence-verifier.js'
import type { KnockSigner } from '../verify/signature-job.js'

/** The decision that accepts a knock. */
export type Granting = Extract<Decision, { kind: 'grant' }>

type AddressText = (packet: Packet) => string

const none: readonly Effect[] = []

/** Whether the kernel carries the knock out by the mark of its answer: the others are carried out by commands. */
export const isByMark = ({ knock, part, closes }: Granting): boolean => !knock.requested && !part && !closes

/** Whether a command follows, or a grant on behalf of another. */
export const isFollowed = (decision: Granting): boolean =>
  decision.credential.triggers || decision.also !== undefined || !isByMark(decision)

/** What follows an accepted knock; an array of its own only where something does. */
export function effectsOf(decision: Granting, packet: Packet, addressText: AddressText): readonly Effect[] {
  const { credential, knock, part, also, closes, signer } = decision
  if (!signer && !isFollowed(decision)) return none
  const source = addressText(packet)
  const byCommand = (kind: 'on-behalf' | 'revoke', address: string): Effect => ({
    ...{ kind, credential: credential.name, address },
    ...(part ? { part } : {}),
  })
  const effects = signer ? signedBy(signer, decision, source) : []
  if (also) effects.push(byCommand('on-behalf', also.address))
  if (!isByMark(decision)) effects.push(byCommand(closes ? 'revoke' : 'on-behalf', knock.requested?.address ?? source))
  else if (credential.triggers) effects.push(triggerOf(credential, source))
  return effects
}

/** Who has signed is noted for each grant, so that a user's grants can be revoked. */
function signedBy(signer: KnockSigner, { credential, knock, also, part, closes }: Granting, source: string): Effect[] {
  const { requested } = knock
  const by = closes === true || credential.revokes ? 'close' : requested || part ? 'hand' : 'knock'
  const facts = { kind: 'signed', credential: credential.name, signer, ...(part ? { part } : {}) } as const
  return [
    { ...facts, by, address: requested?.address ?? source },
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

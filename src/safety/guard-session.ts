/**
 * Whether a change locks out the ssh session in which it is made, and what to do about it. src/cli/flags/lockout-flags.ts has
 * the flags of the commands.
 */
import type { Firewall, ServiceGrant, ServicePlan, ServiceSpec } from '../nft/index.js'
import { refuseLinkLocal } from '../nft/index.js'
import type { Terminal } from '../util/index.js'
import { durationText, timeText, usageError, UserError } from '../util/index.js'
import { decidesOn } from './decides-on.js'
import type { Session } from './ssh-session.js'
import { findSession } from './ssh-session.js'

export interface LockoutFlags {
  readonly allowMe?: boolean
  /** How many seconds --allow-me grants. */
  readonly for?: number
  readonly force?: boolean
  readonly dryRun?: boolean
}

/** A service that decides on the session, and for how many seconds a grant still admits it. */
interface BlockedService {
  readonly spec: ServiceSpec
  readonly secondsLeft: number
}

/**
 * The grants that --allow-me asks for. Without it, warns when the session's next connection would be refused, and throws
 * when the session itself would be cut off, also if only after its grant expires.
 */
export async function guardSession(
  terminal: Terminal,
  firewall: Firewall,
  flags: LockoutFlags,
  plan: ServicePlan,
  session: Session | undefined = findSession(),
): Promise<ServiceGrant[]> {
  if (flags.for !== undefined && !flags.allowMe) throw usageError('--for is for --allow-me, which is missing')
  if (!session) {
    if (!flags.allowMe) return []
    throw new UserError(
      'there is no ssh session whose address could be granted access',
      'name an address with allow, or with pkctl add',
    )
  }
  const { address } = session
  const blocked: BlockedService[] = []
  for (const spec of plan.after.values()) {
    if (plan.left.includes(spec.name) || !decidesOn(spec, session)) continue
    const now = plan.before.get(spec.name)?.spec
    const secondsLeft = now ? await firewall.secondsGranted(spec, session.version, address, now) : 0
    if (secondsLeft < Infinity) blocked.push({ spec, secondsLeft })
  }
  if (flags.allowMe) {
    return sessionGrants(terminal, address, flags.for ?? null, blocked)
  }
  const isNew = new Set([...plan.added, ...plan.modified.map(({ spec }) => spec)])
  const now = blocked.filter(({ spec }) => isNew.has(spec))
  const cutting = now.find(({ spec }) => !spec.syn)
  // Where a service looks at new connections only, the end of a grant cuts nothing off; and the user can knock.
  const refusing = now.find(({ secondsLeft }) => secondsLeft === 0)
  if (cutting) cutOff(terminal, flags, session, cutting)
  else if (refusing) {
    terminal.warn(
      `your ssh session from ${address} continues, but a new one from there will be refused: ` +
        `service ${refusing.spec.name} protects port ${session.port}, and neither a grant nor the allowlist accepts ${address}`,
    )
    terminal.hint('--allow-me grants it access; otherwise, make sure that you can knock')
  }
  return []
}

/** A grant that ends later than these stays as it is. */
function sessionGrants(
  terminal: Terminal,
  address: string,
  seconds: number | null,
  blocked: readonly BlockedService[],
): ServiceGrant[] {
  const ending = blocked.filter(({ secondsLeft }) => seconds === null || secondsLeft < seconds)
  for (const { spec } of ending) refuseLinkLocal(spec.name, address, spec.interfaces)
  const cutting = ending.find(({ spec }) => !spec.syn)
  if (seconds !== null && cutting)
    terminal.warn(
      `your ssh session from ${address} ends in ${durationText(seconds)}: service ${cutting.spec.name} filters every packet`,
    )
  return ending.map(({ spec }) => ({
    ...{ service: spec.name, source: address, by: 'hand' as const, secondsLeft: seconds },
  }))
}

function cutOff(
  terminal: Terminal,
  flags: LockoutFlags,
  { address, port }: Session,
  { spec, secondsLeft }: BlockedService,
): void {
  const until = secondsLeft > 0 ? ` for longer than ${durationText(Math.ceil(secondsLeft))}` : ''
  const message =
    `your ssh session from ${address} would end: ` +
    `service ${spec.name} filters every packet to port ${port}, and neither a grant nor the allowlist accepts ${address}${until}`
  const hint = '--allow-me grants it access; with --syn the session continues; --force ends it'
  if (!flags.force && !flags.dryRun) throw new UserError(message, hint)
  terminal.warn(message)
  if (!flags.force) terminal.hint(hint)
}

/** Says how to undo what --allow-me did. */
export function hintAtSessionGrants(terminal: Terminal, grants: readonly ServiceGrant[]): void {
  for (const { service, source, secondsLeft } of grants) {
    terminal.hint(`you have access ${timeText(secondsLeft)}; pkctl delete ${source} --service ${service} revokes it`)
  }
}

/** The same for --json. */
export const sessionGrantsJson = (grants: readonly ServiceGrant[]): object =>
  grants.length === 0 ? {} : { allowed: grants.map(({ service, source }) => ({ service, address: source })) }

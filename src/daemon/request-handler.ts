/** Carries out what is asked of the daemon over its sockets. */
import type { Controller, Status } from '../controller/index.js'
import { NftError } from '../nft/nft-errors.js'
import type { FirewallResult, Firewall, TableOwner, TransactionRequest, TransactionResult } from '../nft/index.js'
import { grantComment, rulesetNumber } from '../nft/index.js'
import type { Answer } from '../util/index.js'
import { UserError } from '../util/index.js'
import type { DaemonFleet } from './fleet/daemon-fleet.js'
import type { Peer } from './asker.js'
import { askerOf } from './asker.js'
import type { ChangeRecord } from './change-record.js'
import { problemsOf } from './error-messages.js'
import type { ReloadParts, Reloads } from './reload-configuration.js'
import { reload } from './reload-configuration.js'
import type { Request } from './requests.js'

/**
 * Answers a request. `peer` is how it came, for the log; `left` is aborted when who asks does not wait for the answer any
 * more.
 */
export type RequestHandler = (request: Request, peer: Peer, left?: AbortSignal) => Promise<Answer>

interface RequestParts extends ReloadParts {
  readonly controller: Controller
  readonly firewall: Firewall
  /** Undefined where there is none. */
  readonly fleet?: DaemonFleet | undefined
  readonly owner: Pick<TableOwner, 'applyOwned'>
  readonly reloads: Reloads
  /** Resolves when the daemon has started. Requests wait for it. */
  readonly ready: Promise<void>
}

export function requestHandler(parts: RequestParts): RequestHandler {
  return async (request, peer, left) => {
    // Who asks for it has the lock, for which the start may wait.
    if (request.request === 'transaction') return { ok: true, result: await makeChange(request, parts.owner) }
    await parts.ready
    try {
      const result = await answerOf(request, peer, parts, left)
      if (request.request === 'reload') parts.reloads.refused = null
      if (request.request !== 'status') return { ok: true, result }
      const more = {
        lostLogLines: parts.log.lostLines(),
        refusedReload: parts.reloads.refused,
        ...(parts.fleet ? { fleet: parts.fleet.fleet.status() } : {}),
      }
      return { ok: true, result: { ...(result as Status), ...more } }
    } catch (cause) {
      const problems = problemsOf(cause)
      if (request.request !== 'reload') return { ok: false, problems }
      const error = problems[0]?.message ?? 'unknown'
      parts.reloads.refused = { at: Date.now() / 1000, error, errors: problems.length }
      const { fields: who } = await askerOf(peer, 'by' in request ? request.by : undefined)
      const fields = { event: 'reload-refused', ...who }
      for (const { message } of problems) {
        parts.log.error(`the configuration is refused, the old one stays active: ${message}`, fields)
      }
      return { ok: false, problems: [...problems, { message: 'the old configuration stays active' }] }
    }
  }
}

/** Makes a change of a command, which has read and planned it, in the table that the daemon owns. */
async function makeChange(
  { how, ruleset, commands }: TransactionRequest,
  owner: RequestParts['owner'],
): Promise<TransactionResult> {
  if (ruleset !== rulesetNumber()) return { outcome: 'not-owner' }
  try {
    return { outcome: (await owner.applyOwned(commands, how)) ? 'done' : 'not-owner' }
  } catch (error) {
    if (!(error instanceof NftError)) throw error
    const { kind, operation, stderr } = error
    return { outcome: 'failed', kind, operation, stderr }
  }
}

async function answerOf(
  request: Exclude<Request, TransactionRequest>,
  peer: Peer,
  parts: RequestParts,
  left: AbortSignal | undefined,
): Promise<unknown> {
  const { controller, firewall, fleet, log } = parts
  const logged = async (result: FirewallResult, what: string, change: ChangeRecord) => {
    if (!result.changed) return result
    const asker = await askerOf(peer, 'by' in request ? request.by : undefined)
    log.info(`${what}, at the request of ${asker.text}`, { event: 'change', ...change, ...asker.fields })
    return result
  }
  switch (request.request) {
    case 'note':
      await note(request, peer, log)
      tellDeleted(controller, request.change)
      if (fleet) tellFleet(fleet, request.change)
      return null
    case 'status':
      return controller.status(left)
    case 'list':
      return [...(await firewall.services(left)).values()]
    case 'whose':
      return controller.whose()
    case 'fleet':
      return fleetOf(parts).fleet.answer()
    case 'refresh':
      return (await controller.refresh()).changed
    case 'reload':
      return reload(await askerOf(peer, request.by), parts)
    case 'revoke': {
      const { user, keys, credential } = request
      const result = await controller.revokeGrants({ user, keys, credential })
      if (user === null && credential !== null && result.revoked.length + result.kept.length === 0) {
        if (!controller.hasCredential(credential)) throw new UserError(`there is no credential ${credential}`)
      }
      if (result.revoked.length === 0) return result
      const { text, fields } = await askerOf(peer, request.by)
      for (const { service, source } of result.revoked) {
        const message = `${source} may no longer use ${service}: the grants of ${user ?? credential} are revoked, at the request of ${text}`
        const whose = user === null ? { credential } : { user }
        log.info(message, { event: 'change', action: 'revoke', service, source, ...whose, ...fields })
      }
      return result
    }
    case 'add': {
      const { service, version, address, seconds, keepLonger = false, note } = request
      const shared = request.fleet ? fleetOf(parts).sharing(service, address) : undefined
      const time = seconds === null ? 'without a time limit' : `for ${seconds} s`
      const { name } = await askerOf(peer, request.by)
      const comment = grantComment(name, note, Date.now())
      const change = await firewall.addGrant(service, version, address, seconds, keepLonger, comment)
      if (!shared && change.changed) fleet?.added(service, address, seconds)
      const told = await shared?.added(seconds)
      const result = await logged(change, `${address} may use ${service} ${time}`, {
        ...{ action: 'add', service, source: address, seconds },
        ...(note === undefined ? {} : { note }),
      })
      return { ...result, ...(told && { fleet: told }) }
    }
    case 'delete': {
      const { service, version, address } = request
      const shared = request.fleet ? fleetOf(parts).sharing(service, address) : undefined
      const change = await firewall.deleteGrant(service, version, address)
      if (change.changed) controller.grantDeleted(service, address)
      // Also where it is gone here: others may have it.
      if (!shared && (change.changed || fleet?.fleet.hasGrant(service, address))) fleet?.deleted(service, address)
      const told = await shared?.deleted()
      const record = { action: 'delete', service, source: address } as const
      const result = await logged(change, `${address} may no longer use ${service}`, record)
      return { ...result, ...(told && { fleet: told }) }
    }
  }
}

function fleetOf({ fleet }: RequestParts): DaemonFleet {
  if (fleet) return fleet
  throw new UserError('this server is in no fleet', "set 'fleet' in the configuration, and restart pkctld")
}

/** What commands of root have deleted by themselves. */
function tellDeleted(controller: Controller, { action, service, source }: ChangeRecord): void {
  if ((action !== 'delete' && action !== 'revoke') || service === undefined || source === undefined) return
  controller.grantDeleted(service, source)
}

/** What commands of root have granted and revoked by themselves. */
function tellFleet(fleet: DaemonFleet, { action, service, source, seconds = null }: ChangeRecord): void {
  if (service === undefined || source === undefined) return
  if (action === 'add') fleet.added(service, source, seconds)
  if (action === 'delete') fleet.deleted(service, source)
}

/** Says in the log what a command has done. */
async function note(
  { what, by, change }: Extract<Request, { request: 'note' }>,
  peer: Peer,
  log: RequestParts['log'],
): Promise<void> {
  const { text, fields } = await askerOf(peer, by)
  log.info(`${what}, by command of ${text}`, { event: 'change', ...change, ...fields })
}

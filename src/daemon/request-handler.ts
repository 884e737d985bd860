/** Carries out what is asked of the daemon over its sockets. */
import type { Controller, Status } from '../controller/index.js'
import { NftError } from '../nft/nft-errors.js'
import type { Change, Firewall, TableOwner, TransactionRequest, TransactionResult } from '../nft/index.js'
import { rulesetNumber } from '../nft/index.js'
import type { Answer } from '../util/index.js'
import { UserError } from '../util/index.js'
import { problemsOf } from './error-messages.js'
import type { ReloadParts, Reloads } from './reload-configuration.js'
import { reload } from './reload-configuration.js'
import type { Request } from './requests.js'

/**
 * Answers a request. `asker` says who can have made it, for the log; `left` is aborted when that asker does not wait for the
 * answer any more.
 */
export type Handle = (request: Request, asker: string, left?: AbortSignal) => Promise<Answer>

interface RequestParts extends ReloadParts {
  readonly controller: Controller
  readonly firewall: Firewall
  readonly owner: Pick<TableOwner, 'applyOwned'>
  readonly reloads: Reloads
  /** Resolves when the daemon has started. Requests wait for it. */
  readonly ready: Promise<void>
}

export function requestHandler(parts: RequestParts): Handle {
  return async (request, asker, left) => {
    // Who asks for it has the lock, for which the start may wait.
    if (request.request === 'transaction') return { ok: true, result: await makeChange(request, parts.owner) }
    await parts.ready
    try {
      const result = await answerOf(request, asker, parts, left)
      if (request.request === 'reload') parts.reloads.refused = null
      return {
        ok: true,
        result: request.request === 'status' ? { ...(result as Status), refusedReload: parts.reloads.refused } : result,
      }
    } catch (cause) {
      const problems = problemsOf(cause)
      if (request.request !== 'reload') return { ok: false, problems }
      const error = problems[0]?.message ?? 'unknown'
      parts.reloads.refused = { at: Date.now() / 1000, error, errors: problems.length }
      for (const { message } of problems) {
        parts.log.error(`the configuration is refused, the old one stays active: ${message}`)
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
  asker: string,
  parts: RequestParts,
  left: AbortSignal | undefined,
): Promise<unknown> {
  const { controller, firewall, log } = parts
  const logged = (change: Change, what: string) => {
    if (change.changed) log.info(`${what}, at the request of ${asker}`, { asker })
    return change
  }
  switch (request.request) {
    case 'note':
      log.info(`${request.what}, by command of ${request.by}`, { asker: request.by })
      return null
    case 'status':
      return controller.status(left)
    case 'list':
      return [...(await firewall.services(left)).values()]
    case 'refresh':
      return (await controller.refresh()).changed
    case 'reload':
      return reload(asker, parts)
    case 'revoke': {
      const { user, keys, credential } = request
      const result = await controller.revokeGrants({ user, keys, credential })
      if (user === null && credential !== null && result.revoked.length + result.kept.length === 0) {
        if (!controller.hasCredential(credential)) throw new UserError(`there is no credential ${credential}`)
      }
      for (const { service, source } of result.revoked) {
        const message = `${source} may no longer use ${service}: the grants of ${user ?? credential} are revoked, at the request of ${asker}`
        log.info(message, { asker, ...(user === null ? { credential } : { user }), service, source })
      }
      return result
    }
    case 'add': {
      const { service, version, address, seconds } = request
      const time = seconds === null ? 'without a time limit' : `for ${seconds} s`
      const change = await firewall.addGrant(service, version, address, seconds)
      return logged(change, `${address} may use ${service} ${time}`)
    }
    case 'delete': {
      const { service, version, address } = request
      return logged(await firewall.deleteGrant(service, version, address), `${address} may no longer use ${service}`)
    }
  }
}

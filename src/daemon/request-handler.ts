/** What the daemon answers over its sockets: root's, which takes all requests, and the group's, which takes some. */
import * as fs from 'node:fs'
import { loadConfig } from '../config/load.js'
import type { Config } from '../config/types.js'
import type { Controller } from '../controller/controller.js'
import { saveServices } from '../controller/saved-services.js'
import type { Change, Firewall } from '../nft/reconcile/firewall.js'
import type { Answer } from '../util/socket/answer.js'
import type { Listener } from '../util/socket/server.js'
import { listen } from '../util/socket/server.js'
import { groupSocketOf } from './control-client.js'
import type { ConfiguredLog } from './log.js'
import { problemsOf } from './problems.js'
import type { Request } from './requests.js'
import { isOpenTo, readRequest } from './requests.js'
import type { ServiceManager } from './service-manager.js'

/** Answers a request; `asker` is whoever can have made it. */
type Handle = (request: Request, asker: string) => Promise<Answer>

/** The socket for root and, where there is a group, the one for it, which answers only what the group may ask. */
export async function listenAt({ path, group, groupMay }: Config['socket'], handle: Handle): Promise<Listener[]> {
  const listeners = [await listen({ path, group: null }, message => handle(readRequest(message), 'root'))]
  const groupPath = groupSocketOf(path)
  if (group === null) {
    // One of an earlier daemon that did not end by itself would say that there is none.
    if (fs.lstatSync(groupPath, { throwIfNoEntry: false })?.isSocket()) fs.rmSync(groupPath)
    return listeners
  }
  const answer = (message: unknown): Promise<Answer> => {
    const request = readRequest(message)
    if (isOpenTo(groupMay, request)) return handle(request, `group ${group}`)
    const hint = 'socket: group-may in the configuration says what it may'
    const problem = { message: `group ${group} may not ask for ${request.request}`, hint }
    return Promise.resolve({ ok: false, problems: [problem] })
  }
  try {
    listeners.push(await listen({ path: groupPath, group }, answer))
  } catch (error) {
    await listeners[0]?.close()
    throw error
  }
  return listeners
}

interface RequestParts {
  readonly controller: Controller
  readonly firewall: Firewall
  /** The configuration's. */
  readonly file: string
  readonly log: ConfiguredLog
  readonly manager: ServiceManager
  /** Requests wait for it: the daemon has started. */
  readonly ready: Promise<void>
}

export function requestHandler(parts: RequestParts): Handle {
  return async (request, asker) => {
    await parts.ready
    try {
      return { ok: true, result: await answerOf(request, asker, parts) }
    } catch (error) {
      const problems = problemsOf(error)
      if (request.request !== 'reload') return { ok: false, problems }
      for (const { message } of problems) {
        parts.log.error(`the configuration is refused, the old one stays in force: ${message}`)
      }
      return { ok: false, problems: [...problems, { message: 'the old configuration stays in force' }] }
    }
  }
}

async function answerOf(request: Request, asker: string, parts: RequestParts): Promise<unknown> {
  const { controller, firewall, log } = parts
  const noted = (change: Change, what: string) => {
    if (change.changed) log.info(`${what}, at the request of ${asker}`, { asker })
    return change
  }
  switch (request.request) {
    case 'status':
      return controller.status()
    case 'list':
      return [...(await firewall.services()).values()]
    case 'refresh':
      return (await controller.refresh()).changed
    case 'reload':
      return reload(asker, parts)
    case 'add': {
      const { service, version, address, seconds } = request
      const time = seconds === null ? 'without end' : `for ${seconds} s`
      const change = await firewall.addGrant(service, version, address, seconds)
      return noted(change, `${address} may use ${service} ${time}`)
    }
    case 'delete': {
      const { service, version, address } = request
      return noted(await firewall.deleteGrant(service, version, address), `${address} may no longer use ${service}`)
    }
  }
}

async function reload(asker: string, { controller, file, log, manager }: RequestParts) {
  let state = 'the last configuration was refused, the one before is in force'
  manager.reloading()
  try {
    const { config, warnings } = loadConfig(file)
    const nextLog = log.prepare(config.log)
    const { details } = await controller.reload(config).catch((error: unknown) => {
      nextLog.drop()
      throw error
    })
    nextLog.use()
    for (const warning of warnings) log.warn(warning)
    log.info('configuration reloaded', { asker })
    keepForBoot(config, log)
    state = summaryOf(config)
    return { warnings, details }
  } finally {
    manager.ready(state)
  }
}

/** For the next boot; see `pkctl close`. */
export function keepForBoot({ stateDirectory, services }: Config, log: ConfiguredLog): void {
  try {
    saveServices(stateDirectory, services)
  } catch (error) {
    log.warn(`the services cannot be kept for the next boot: ${(error as Error).message}`)
  }
}

/** For the service manager. */
export const summaryOf = ({ queue, services, credentials }: Config) =>
  `knocks come by queue ${queue.number}; ${services.length} services, ${credentials.length} credentials`

/**
 * A change that is rolled back unless it is confirmed. A separate process waits with the state before it in its memory: it
 * has no terminal and no parent with which it would end, needs no daemon, and uses the kernel's monotonic clock. A change
 * waits to be confirmed while that process answers at its socket. The socket is in a directory that only root can write: where the
 * daemon's user could put its own, a change could be confirmed by that user, or kept from its confirmation.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ChangedUnits, EarlierFile, WrittenChange } from '../config/unconfirmed-change.js'
import {
  isMarkedByAnother,
  isWritten,
  outlivedChange,
  removeUnconfirmed,
  writeUnconfirmed,
  writtenChange,
} from '../config/unconfirmed-change.js'
import { maskAddress, splitPrefix } from '../net/index.js'
import { FirewallError } from '../nft/nft-errors.js'
import type { FirewallResult, Firewall, ServiceGrant, ServicePlan, ServiceSpec } from '../nft/index.js'
import { prefixesDiffer, grantPrefix } from '../nft/index.js'
import { ask, reasonOf, rollbackDirectory as directory, UserError } from '../util/index.js'
import type { rollbackRequests, Waiting } from './ask-rollback-process.js'
import { undoAround } from './undo-files.js'
import { askWhatWaits, codeOf, goOn, isNoProcess, rollbackSocket, unconfirmedChange } from './ask-rollback-process.js'

/** What rolling back needs to know. */
export interface RollbackState {
  /** Of the written change; undefined where it could not be written. */
  readonly mark?: string | undefined
  /** Seconds until the change is rolled back. */
  readonly seconds: number
  /** Where the daemon is notified of the rollback. */
  readonly daemonSocket: string
  /** The main file of the configuration. */
  readonly config: string
  /** Files that the change makes or alters, as they were. */
  readonly files: readonly EarlierFile[]
  readonly units: ChangedUnits
  /** Services that the change alters or removes, as they were. */
  readonly services: readonly ServiceSpec[]
  /** Names of those that it adds. */
  readonly added: readonly string[]
  /** Grants that are not restored together with their services. */
  readonly grants: readonly ServiceGrant[]
  /** Grants that the change adds. */
  readonly made: readonly ServiceGrant[]
}

/** What is needed to undo the change. `granted` are the grants that it adds, in place of `replaced`. */
export function rollbackState(
  { before, added, modified, removed }: ServicePlan,
  granted: readonly ServiceGrant[],
  replaced: readonly ServiceGrant[],
  options: Pick<RollbackState, 'seconds' | 'daemonSocket' | 'config' | 'files' | 'units'>,
): RollbackState {
  const grantsOf = (name: string) => (before.get(name)?.grants ?? []).map(grant => ({ service: name, ...grant }))
  // Masked to a shorter prefix and then to a longer one again, a grant would keep the first address of its prefix only.
  const remasked = modified.filter(({ spec }) => prefixesDiffer(spec, before.get(spec.name)?.spec))
  const masked = remasked.flatMap(({ spec }) =>
    grantsOf(spec.name).map(grant => {
      const { version, address } = splitPrefix(grant.source)
      return { ...grant, source: maskAddress(address, grantPrefix(spec, version)) }
    }),
  )
  const whole = [...removed, ...remasked].map(({ spec }) => spec.name)
  const altered = [...modified, ...removed].map(({ spec }) => spec.name)
  return {
    ...options,
    services: altered.flatMap(name => before.get(name)?.spec ?? []),
    added: added.map(({ name }) => name),
    grants: [...whole.flatMap(grantsOf), ...replaced.filter(({ service }) => !whole.includes(service))],
    made: [...granted, ...masked],
  }
}

/** Throws while another change waits to be confirmed. */
export async function refuseWhileUnconfirmed(config: string): Promise<void> {
  const waiting = await unconfirmedChange()
  if (waiting === undefined) return
  throw waiting === 'silent' ? silent(config) : unconfirmed()
}

export const unconfirmed = () =>
  new UserError('an earlier change is not confirmed yet', 'pkctl confirm keeps it; pkctl rollback undoes it')

const armWithinMilliseconds = 15_000

/**
 * Starts the process that rolls back. Resolves when it waits, to a warning where a restart of the machine would keep the
 * change; before that, nothing may be changed. `around` is what the caller has written of the change before.
 */
export async function arm(state: RollbackState, around?: Begun): Promise<string | undefined> {
  await refuseWhileUnconfirmed(state.config)
  if (isMarkedByAnother(state.config, around?.mark)) throw unconfirmed()
  makeDirectory()
  const { mark, warning } = remember(state, around)
  const saved = { ...state, mark }
  const program = fileURLToPath(new URL('rollback-process.js', import.meta.url))
  const child = spawn(process.execPath, [program], { detached: true, cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] })
  // A process that ends before it has read everything is reported by its exit.
  child.stdin.on('error', () => undefined)
  child.stdin.end(JSON.stringify(saved))
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new UserError(`the process that would roll back does not start: ${why}`))
      const timeout = setTimeout(() => fail('it takes too long'), armWithinMilliseconds)
      child.on('error', error => fail(error.message))
      child.on('exit', status => fail(`exit status ${status}`))
      child.stdout.once('data', () => {
        clearTimeout(timeout)
        resolve()
      })
    })
    return warning
  } catch (error) {
    child.kill('SIGKILL')
    removeUnconfirmed(saved.config, mark)
    throw error
  } finally {
    child.removeAllListeners()
    child.stdout.destroy()
    child.unref()
  }
}

interface Begun {
  /** Services that the kernel has already, and the configuration had not. */
  readonly added: readonly string[]
  readonly mark: string | undefined
}

/** Where the configuration cannot be written, as in an image that is read-only, the change still waits in this boot. */
function remember(
  { config, services, added, files, units }: RollbackState,
  begun: Begun | undefined,
): { readonly mark?: string; readonly warning?: string } {
  const all = [...new Set([...added, ...(begun?.added ?? [])])]
  try {
    return { mark: writeUnconfirmed(config, { services, added: all, files, units }, begun?.mark) }
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw unconfirmed()
    return { warning: `a restart of the machine before pkctl confirm keeps the change: ${reasonOf(error)}` }
  }
}

function makeDirectory(): void {
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST') throw new UserError(`${directory} cannot be made: ${message}`, 'run as root')
  }
  const { mode, uid } = fs.lstatSync(directory)
  if ((mode & 0o170_777) === 0o040_700 && uid === process.geteuid?.()) return
  throw new UserError(`${directory} is not a directory of this user alone`, `ls -ld ${directory} shows what it is`)
}

interface RolledBack {
  readonly daemonSocket: string
  /** What was undone, in a few words each. */
  readonly details: readonly string[]
}

interface Confirmed extends Waiting {
  readonly daemonSocket: string
}

/** Keeps the change. Throws when none waits for it. */
export const confirm = async (): Promise<Confirmed> => (await askWaiting('confirm')) as Confirmed

/** Of a change that no process waits for: whether the machine restarted, or only the process was killed. */
type Outlived = 'restart' | 'process'

/** Keeps a change that no process waits for; undefined where there is none. */
export async function confirmOutlived(config: string): Promise<Outlived | undefined> {
  const outlived = outlivedChange(config)
  const change = outlived ?? (await leftChange(config))
  removeUnconfirmed(config, change?.mark)
  return outlived ? 'restart' : change && 'process'
}

/** A change whose process was killed before it could roll it back. */
async function leftChange(config: string): Promise<WrittenChange | undefined> {
  const change = writtenChange(config)
  return change !== undefined && (await isAbandoned(config)) ? change : undefined
}

/** Throws where the process stands still: what it does when it goes on must not meet what a command has done meanwhile. */
const isAbandoned = (config: string): Promise<boolean> =>
  askWhatWaits().then(
    () => false,
    (error: unknown) => {
      if (isNoProcess(error)) return true
      if (codeOf(error) === 'EACCES') return false
      throw silent(config)
    },
  )

/** The process may have the only copy of the state before the change: it is to be ended only where that is written, too. */
const silent = (config?: string) => {
  const orEnd =
    '; or end it by pkill -KILL -x pkctl-rollback, then pkctl rollback or pkctl confirm: the grants that it would restore are lost then'
  return new UserError(
    'the process that would roll the change back does not answer',
    `${goOn} lets it go on${config !== undefined && isWritten(config) ? orEnd : ''}`,
  )
}

/** Undoes a change whose process was killed; undefined where there is none. Grants that it replaced are not known. */
export async function rollBackLeft(
  firewall: Firewall,
  config: string,
  daemonSocket: string,
): Promise<readonly string[] | undefined> {
  const change = await leftChange(config)
  if (change === undefined) return undefined
  const { details } = await rollBack(firewall, { ...change, grants: [], made: [] }, 0)
  await undoAround(change, daemonSocket)
  removeUnconfirmed(config, change.mark)
  return details
}

/**
 * Undoes what a change that waited when the machine restarted has left; undefined where there is none. What a user wrote
 * into the configuration stays, and does not count until it is applied.
 */
export async function rollBackOutlived(
  config: string,
  daemonSocket: string,
): Promise<'rolled back' | 'written by hand' | undefined> {
  const change = outlivedChange(config)
  if (change === undefined) return undefined
  if (change.files.length === 0) return 'written by hand'
  await undoAround(change, daemonSocket)
  removeUnconfirmed(config, change.mark)
  return 'rolled back'
}

/** Undoes it now. Throws when none waits. */
export const rollBackNow = async (): Promise<RolledBack> => (await askWaiting('roll back')) as RolledBack

/** One that the kernel refuses is tried again for some time. */
const rollBackMilliseconds = 120_000

async function askWaiting(request: (typeof rollbackRequests)[number]): Promise<unknown> {
  let answer
  try {
    // Without an answer to this, there will be none to what takes longer.
    await askWhatWaits()
    answer = await ask(rollbackSocket, { request }, rollBackMilliseconds)
  } catch (error) {
    if (codeOf(error) === 'EACCES') throw new UserError(`no right to ask at ${rollbackSocket}`, 'run as root')
    if (!isNoProcess(error)) throw silent()
    const hint = 'if one did, its time is over and it was rolled back; pkctl list shows what is active'
    throw new UserError('no change waits to be confirmed', hint)
  }
  if (answer.ok) return answer.result
  throw new UserError(answer.problems[0]?.message ?? 'the change that waits cannot be reached')
}

/** Restores the saved state, `elapsed` seconds after it was saved. */
export async function rollBack(
  firewall: Firewall,
  saved: Pick<RollbackState, 'services' | 'added' | 'grants' | 'made'>,
  elapsed: number,
): Promise<FirewallResult> {
  const { services, added } = saved
  const grants = saved.grants.flatMap(grant => {
    const secondsLeft = grant.secondsLeft === null ? null : grant.secondsLeft - elapsed
    return secondsLeft === null || secondsLeft >= 1 ? [{ ...grant, secondsLeft }] : []
  })
  const rest = { revoke: saved.made, grants, replace: true }
  try {
    return await firewall.apply({ specs: services, remove: added, ...rest })
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error
  }
  // In the meantime another service got one of the ports: restore what is possible.
  const changes = [await firewall.apply({ specs: [], remove: added, ...rest, grants: [] })]
  for (const spec of services) {
    const mine = grants.filter(({ service }) => service === spec.name)
    try {
      changes.push(await firewall.apply({ specs: [spec], replace: true, grants: mine }))
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error
    }
  }
  return {
    changed: changes.some(({ changed }) => changed),
    details: changes.flatMap(({ details }) => details),
    commands: changes.flatMap(({ commands }) => commands),
  }
}

/** Carries out the plan of `pkctl setup`. What fails before the port is closed leaves nothing behind. */
import * as fs from 'node:fs'
import path from 'node:path'
import type { EarlierFile, UnconfirmedChange } from '../../config/unconfirmed-change.js'
import { removeUnconfirmed, writeUnconfirmed, writtenChange } from '../../config/unconfirmed-change.js'
import { confirm, refuseWhileUnconfirmed, restoreFiles, unconfirmed } from '../../safety/index.js'
import type { KeyPlace } from '../../users/index.js'
import { addUser, keyPlaces, placeFor, publicKeyIn } from '../../users/index.js'
import type { Terminal } from '../../util/index.js'
import {
  isAnswering,
  makeNew,
  makeOwnedDirectory,
  privateMode,
  readNamed,
  reasonOf,
  shareFile,
  UserError,
} from '../../util/index.js'
import type { Applied } from '../changes/apply-configuration.js'
import { applyConfiguration } from '../changes/apply-configuration.js'
import { invitationFor, makeIdentity } from '../server/make-invitation.js'
import { madeText } from '../flags/public-key-flag.js'
import type { SetupPlan } from './plan.js'
import { startDaemon, unitsToChange } from './units.js'

export interface SetupOutcome {
  readonly applied: Applied
  /** The line for `pkctl join`. */
  readonly invitation: string
  /** Whether pkctld runs, and knows the user. */
  readonly start: 'started' | 'not started' | 'not read'
}

/** As much as counts of a file of keys. */
const maxKeyBytes = 16 * 1024 * 1024

/** Where no confirmation is wanted, the change still is undone if pkctld does not start. */
const startSeconds = 180

export async function carryOut(terminal: Terminal, plan: SetupPlan): Promise<SetupOutcome> {
  const { applied, invitation } = await close(terminal, plan)
  const start = plan.start && (await startDaemon(terminal)) ? 'started' : await stateOf(applied.socket)
  if (plan.confirmWithin !== undefined || applied.confirmWithin === undefined) return { applied, invitation, start }
  await confirm()
  return { applied: { ...applied, confirmWithin: undefined }, invitation, start }
}

async function close(terminal: Terminal, plan: SetupPlan): Promise<Pick<SetupOutcome, 'applied' | 'invitation'>> {
  const { config, file, allowMe, allowMeFor, service, credential, knocker, start } = plan
  const confirmWithin = plan.confirmWithin ?? (start ? startSeconds : undefined)
  await refuseWhileUnconfirmed(config)
  makeDirectory(path.dirname(config))
  refuseMeanwhile(config, file)
  const made: EarlierFile = { path: file, text: null }
  const keys = asItIs(plan.keys)
  const change = { added: [service], units: start ? await unitsToChange() : { enabled: [], started: [] } }
  // First of all, so that a restart at any moment leaves the port as it was.
  const mark =
    confirmWithin === undefined ? undefined : remember(config, { services: [], ...change, files: [made, keys] })
  // What is undone: not a file that another program made before this one could.
  const files: EarlierFile[] = []
  try {
    writeFile(plan)
    files.push(made)
    makeIdentity(config)
    files.push(keys)
    addKeys(terminal, plan, placeFor(keyPlaces(config), credential, config))
    files[1] = { ...keys, written: textOf(plan.keys) }
    const around = { ...change, files, mark }
    const { line: invitation } = invitationFor(knocker.name, plan.host, config)
    const whom = { allowMe, ...(allowMeFor === undefined ? {} : { for: allowMeFor }) }
    const applied = await applyConfiguration(terminal, config, { ...whom, confirmWithin, around })
    return { applied, invitation }
  } catch (error) {
    restoreFiles(files)
    removeUnconfirmed(config, mark)
    throw error
  }
}

/** While setup asked, the file can have been made, or another change. */
function refuseMeanwhile(config: string, file: string): void {
  if (orAsRoot(config, () => writtenChange(config)) !== undefined) throw unconfirmed()
  if (fs.existsSync(file)) throw new UserError(`${file} is there already`, 'run pkctl setup again')
}

/** Returns the mark of what it wrote. */
const remember = (config: string, change: UnconfirmedChange): string =>
  orAsRoot(config, () => {
    try {
      return writeUnconfirmed(config, change)
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? unconfirmed() : error
    }
  })

function orAsRoot<T>(config: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${path.dirname(config)} cannot be changed: ${reasonOf(error)}`, 'run the command as root')
  }
}

const stateOf = async (socket: string) => ((await isAnswering(socket)) ? 'not read' : 'not started')

const asItIs = (file: string): EarlierFile => ({
  path: file,
  text: fs.existsSync(file) ? textOf(file) : null,
})

const textOf = (file: string): string => readNamed(file, maxKeyBytes).toString()

function writeFile({ file, text }: SetupPlan): void {
  makeDirectory(path.dirname(file))
  try {
    makeNew(file, privateMode, (handle, directory) => {
      fs.writeSync(handle, text)
      shareFile(handle, directory)
    })
  } catch (error) {
    throw new UserError(`${file} cannot be written: ${reasonOf(error)}`, 'run the command as root')
  }
}

function makeDirectory(directory: string): void {
  try {
    makeOwnedDirectory(directory, 0o750)
  } catch (error) {
    throw new UserError(`${directory} cannot be made: ${reasonOf(error)}`, 'run the command as root')
  }
}

/** The keys of the user get names of their own where there are several: the comment of a key is the name of its user. */
function addKeys(terminal: Terminal, { knocker: { name, keys } }: SetupPlan, place: KeyPlace): void {
  const all = { opens: undefined, window: undefined, expiresAt: undefined }
  for (const [i, { text, restrictions }] of keys.entries()) {
    const key = publicKeyIn(text, 'the key').text
    const { made } = addUser(place, { name: i === 0 ? name : `${name}-${i + 1}`, key, restrictions, ...all })
    for (const revoked of made) terminal.hint(madeText(revoked))
  }
}

/** Carries out the plan of `pkctl setup`. What fails before the port is closed leaves nothing behind. */
import * as fs from 'node:fs'
import path from 'node:path'
import { confirm, refuseWhileUnconfirmed } from '../../safety/index.js'
import { addUser, keyPlaces, placeFor, publicKeyIn } from '../../users/index.js'
import type { Terminal } from '../../util/index.js'
import { execute, oneLine, privateMode, reasonOf, shareFile, UserError } from '../../util/index.js'
import type { Applied } from '../changes/apply-configuration.js'
import { applyConfiguration } from '../changes/apply-configuration.js'
import { invitationFor, makeIdentity } from '../client/invitation-line.js'
import { madeText } from '../flags/public-key-flag.js'
import type { Plan } from './plan.js'

export interface Outcome {
  readonly applied: Applied
  /** The line for `pkctl join`. */
  readonly invitation: string
  readonly started: boolean
}

const startMilliseconds = 60_000

/** Where no confirmation is wanted, the change still is undone if pkctld does not start. */
const startSeconds = 180

export async function carryOut(terminal: Terminal, plan: Plan): Promise<Outcome> {
  const { applied, invitation } = await close(terminal, plan)
  if (!plan.start) return { applied, invitation, started: false }
  const started = await startDaemon(terminal)
  if (plan.confirmWithin === undefined && applied.confirmWithin !== undefined) await confirm()
  return { applied: { ...applied, confirmWithin: plan.confirmWithin }, invitation, started }
}

async function close(terminal: Terminal, plan: Plan): Promise<Pick<Outcome, 'applied' | 'invitation'>> {
  const { config, file, allowMe, knocker, start } = plan
  const confirmWithin = plan.confirmWithin ?? (start ? startSeconds : undefined)
  await refuseWhileUnconfirmed()
  writeFile(plan)
  const made = [file]
  try {
    makeIdentity(config)
    made.push(...addKeys(terminal, plan))
    const { line: invitation } = invitationFor(knocker.name, plan.host, config)
    const applied = await applyConfiguration(terminal, config, { allowMe, confirmWithin, newFiles: made })
    return { applied, invitation }
  } catch (error) {
    for (const one of made) fs.rmSync(one, { force: true })
    throw error
  }
}

function writeFile({ file, text }: Plan): void {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o750 })
    const handle = fs.openSync(file, 'wx', privateMode)
    try {
      fs.writeSync(handle, text)
      shareFile(handle, file)
      fs.fsyncSync(handle)
    } finally {
      fs.closeSync(handle)
    }
  } catch (error) {
    throw new UserError(`${file} cannot be written: ${reasonOf(error)}`, 'run the command as root')
  }
}

/** The keys of the user get names of their own where there are several: the comment of a key is the name of its user. */
function addKeys(terminal: Terminal, { config, credential, knocker: { name, keys } }: Plan): string[] {
  const place = placeFor(keyPlaces(config), credential, config)
  const [list = ''] = place.files
  const isNew = !fs.existsSync(list)
  const all = { opens: undefined, window: undefined, expiresAt: undefined }
  for (const [i, text] of keys.entries()) {
    const key = publicKeyIn(text, 'the key').text
    const { made } = addUser(place, { name: i === 0 ? name : `${name}-${i + 1}`, key, ...all })
    for (const revoked of made) terminal.hint(madeText(revoked))
  }
  return isNew ? [list] : []
}

/** Makes systemd start pkctld now and at each boot. Throws a UserError where it does not start. */
async function startDaemon(terminal: Terminal): Promise<boolean> {
  if (!fs.existsSync('/run/systemd/system')) {
    terminal.hint('there is no systemd: start pkctld by what starts programs here')
    return false
  }
  for (const argv of [
    ['enable', '--quiet', 'pkctl-rules.service', 'pkctld.service'],
    ['reload-or-restart', 'pkctld.service'],
  ]) {
    const why = await problemOf(argv)
    if (why === undefined) continue
    throw new UserError(
      `port closed, but pkctld does not start: systemctl ${argv.join(' ')}: ${oneLine(why)}`,
      'all is undone soon, unless you run pkctl confirm; journalctl -u pkctld says why it does not start',
    )
  }
  return true
}

async function problemOf(argv: readonly string[]): Promise<string | undefined> {
  try {
    const { status, stderr } = await execute('systemctl', argv, '', { milliseconds: startMilliseconds })
    return status === 0 ? undefined : (stderr.trim().split('\n')[0] ?? '') || `exit status ${status}`
  } catch (error) {
    return reasonOf(error)
  }
}

/** Makes systemd start pkctld, now and at each boot. */
import * as fs from 'node:fs'
import type { ChangedUnits } from '../../config/unconfirmed-change.js'
import type { Terminal } from '../../util/index.js'
import { execute, oneLine, reasonOf, UserError } from '../../util/index.js'

const units = ['pkctl-rules.service', 'pkctld.service']
const milliseconds = 60_000

const hasSystemd = () => fs.existsSync('/run/systemd/system')

/** What `startDaemon` will change, for a rollback. */
export async function unitsToChange(): Promise<ChangedUnits> {
  if (!hasSystemd()) return { enabled: [], started: [] }
  const without = async (verb: string) => {
    const found = await Promise.all(units.map(async unit => ((await problemOf([verb, '--quiet', unit])) ? [unit] : [])))
    return found.flat()
  }
  return { enabled: await without('is-enabled'), started: await without('is-active') }
}

/** False where there is no systemd. Throws a UserError where pkctld does not start. */
export async function startDaemon(terminal: Terminal): Promise<boolean> {
  if (!hasSystemd()) {
    terminal.hint('this machine does not run systemd: start pkctld with the init system that it has')
    return false
  }
  for (const argv of [
    ['enable', '--quiet', ...units],
    ['reload-or-restart', 'pkctld.service'],
  ]) {
    const why = await problemOf(argv)
    if (why === undefined) continue
    throw new UserError(
      `port closed, but pkctld does not start: systemctl ${argv.join(' ')}: ${oneLine(why)}`,
      'without pkctl confirm, pkctl undoes the change; journalctl -u pkctld says why pkctld does not start',
    )
  }
  return true
}

async function problemOf(argv: readonly string[]): Promise<string | undefined> {
  try {
    const { status, stderr } = await execute('systemctl', argv, '', { milliseconds })
    return status === 0 ? undefined : (stderr.trim().split('\n')[0] ?? '') || `exit status ${status}`
  } catch (error) {
    return reasonOf(error)
  }
}

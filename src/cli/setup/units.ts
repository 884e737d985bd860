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
  return unitsThatAreOff(async argv => (await execute('systemctl', argv, '', { milliseconds })).stdout)
}

/** Those of which systemctl says so. Where it fails, a rollback would end what ran before the change. */
export async function unitsThatAreOff(systemctl: (argv: readonly string[]) => Promise<string>): Promise<ChangedUnits> {
  const those = async (verb: string, off: readonly string[]) => {
    const states = await Promise.all(units.map(unit => systemctl([verb, unit]).catch(() => '')))
    return units.filter((_, i) => off.includes(states[i]?.trim() ?? ''))
  }
  return { enabled: await those('is-enabled', ['disabled']), started: await those('is-active', ['inactive', 'failed']) }
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

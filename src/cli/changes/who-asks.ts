/** Who runs this command, and from where, for the log. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import type { Declared } from '../../daemon/declared.js'
import { oneLine } from '../../util/index.js'

export async function whoAsks(environment = process.env): Promise<Declared> {
  const user = userName()
  const { SUDO_USER: sudoUser, SUDO_UID: sudoUid } = environment
  const isSudo = sudoUser !== undefined && sudoUser !== '' && sudoUser !== user
  const from = await placeOf()
  return {
    user,
    uid: process.geteuid?.() ?? 0,
    ...(isSudo ? { 'sudo-user': short(sudoUser) } : {}),
    ...(isSudo && sudoUid !== undefined && /^\d{1,9}$/.test(sudoUid) ? { 'sudo-uid': Number(sudoUid) } : {}),
    ...(from === undefined ? {} : { from }),
  }
}

const short = (text: string) => oneLine(text).slice(0, 64)

function userName(): string {
  try {
    return short(os.userInfo().username)
  } catch {
    return `user ${process.geteuid?.() ?? 'unknown'}`
  }
}

/** The address of the ssh session, or the terminal; undefined for what cron and scripts at boot start. */
async function placeOf(): Promise<string | undefined> {
  try {
    const { findSession } = await import('../../safety/ssh-session.js')
    return findSession()?.address ?? terminal()
  } catch {
    return undefined
  }
}

/** proc_pid_stat(5): the device number of the controlling terminal is the seventh field, and 0 where there is none. */
function terminal(): string | undefined {
  const stat = fs.readFileSync('/proc/self/stat', 'utf8').replace(/^.*\)/s, '').trim().split(' ')
  const device = Number(stat[4] ?? 0)
  const major = (device >> 8) & 0xfff
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00)
  // Documentation/admin-guide/devices.txt of Linux: terminals of ssh and screens have 136 to 143, consoles 4.
  if (major >= 136 && major <= 143) return `/dev/pts/${(major - 136) * 256 + minor}`
  return major === 4 ? (minor < 64 ? `/dev/tty${minor}` : `/dev/ttyS${minor - 64}`) : undefined
}

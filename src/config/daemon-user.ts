import * as fs from 'node:fs'

export interface DaemonUser {
  readonly uid: number
  readonly gid: number
}

/** The user that the packages make for the daemon, if there is one here. */
export function daemonUser(): DaemonUser | undefined {
  try {
    const [, uid, gid] = /^pkctl:[^:]*:(\d+):(\d+):/m.exec(fs.readFileSync('/etc/passwd', 'utf8')) ?? []
    // Never root's: what group 0 may read is no better kept than what others may.
    return Number(uid) > 0 && Number(gid) > 0 ? { uid: Number(uid), gid: Number(gid) } : undefined
  } catch {
    return undefined
  }
}

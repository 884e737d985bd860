/**
 * Notifies systemd (sd_notify(3)) that the daemon is ready, reloads or stops, and keeps the watchdog from expiring. Without
 * systemd, or with a unit that does not use notifications, nothing is sent.
 */
import { sendToSocket } from '../queue/index.js'

export interface ServiceManager {
  /** Knocks are answered from now on. `systemctl status` shows `status`. */
  ready(status: string): void
  /** `systemctl status` shows this as well from now on; nothing more where it is empty. */
  note(note: string): void
  reloading(): void
  /** The watchdog gets no more notifications either. */
  stopping(): void
  /**
   * Notifies the watchdog while `ping` resolves. When it does not, or rejects with what does not work, the service manager
   * restarts the daemon.
   */
  watch(ping: () => Promise<void>): void
  /** Stops the notifications for the watchdog. */
  close(): void
}

interface ManagerParts {
  readonly environment: NodeJS.ProcessEnv
  readonly pid: number
  readonly send: (address: string, text: string) => void
  /** Called with what the user needs to know, once for each cause. */
  readonly onTrouble: (message: string) => void
}

/** Removes the service manager's variables from the environment, so that no child process uses them. */
export function serviceManager(onTrouble: (message: string) => void): ServiceManager {
  const environment = { ...process.env }
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(process.env, name)
  return createServiceManager({ environment, pid: process.pid, send: sendToSocket, onTrouble })
}

export function createServiceManager({ environment, pid, send, onTrouble }: ManagerParts): ServiceManager {
  const address = environment['NOTIFY_SOCKET'] ?? ''
  let troubled = false
  let timer: NodeJS.Timeout | undefined
  let state = ''
  let noted = ''
  const status = () =>
    `STATUS=${[noted, state]
      .filter(text => text !== '')
      .join('; ')
      .replaceAll('\n', ' ')}`

  const notify = (...lines: string[]) => {
    if (address === '') return
    try {
      send(address, lines.join('\n'))
    } catch (error) {
      if (!troubled) onTrouble(`the service manager cannot be notified: ${(error as Error).message}`)
      troubled = true
    }
  }

  const unwatch = () => {
    clearInterval(timer)
    timer = undefined
  }

  return {
    ready: text => {
      state = text
      notify('READY=1', status())
    },
    note: text => {
      if (text === noted) return
      noted = text
      notify(status())
    },
    reloading: () => {
      notify('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    },
    stopping: () => {
      unwatch()
      notify('STOPPING=1')
    },
    watch: ping => {
      const every = watchdogMilliseconds(environment, pid)
      if (address === '' || every === undefined) return
      let waiting = false
      // Each reason once, however many seconds it names: the first one is not always the one that explains the others.
      const told = new Set<string>()
      const complain = (reason: string) => {
        const kind = reason.replace(/\d+/g, 'N')
        if (!told.has(kind)) onTrouble(`the watchdog is not notified, because ${reason}`)
        told.add(kind)
      }
      const pingOnce = () => {
        // One ping at a time: a late answer counts, a missing one lets the watchdog expire.
        if (waiting) {
          complain('the packet worker does not answer')
          return
        }
        waiting = true
        ping().then(
          () => {
            waiting = false
            told.clear()
            if (timer) notify('WATCHDOG=1')
          },
          (error: unknown) => {
            waiting = false
            complain((error as Error).message)
          },
        )
      }
      // Half the time, as systemd recommends.
      timer = setInterval(pingOnce, every / 2)
      pingOnce()
    },
    close: unwatch,
  }
}

/** The timeout of the watchdog; undefined when there is none, or not for this process. */
function watchdogMilliseconds(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: target = '' } = environment
  if (!/^[1-9]\d*$/.test(microseconds) || (target !== '' && target !== String(pid))) return undefined
  return Number(microseconds) / 1000
}

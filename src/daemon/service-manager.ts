/**
 * What systemd is told of the daemon (sd_notify(3)): that it is ready, that it reloads, that it ends, and, for the
 * watchdog, that it lives. Without systemd, or with a unit that does not ask for it, nothing happens.
 */
import { sendDatagram } from '../queue/datagram.js'

export interface ServiceManager {
  /** Knocks are answered from now on; `status` is shown by systemctl status. */
  ready(status: string): void
  reloading(): void
  /** Nor does it ask for life any more. */
  stopping(): void
  /** Tells of life for as long as `answers` resolves; where it stays out, the service manager starts the daemon anew. */
  watch(answers: () => Promise<void>): void
  /** No more telling. */
  close(): void
}

interface ManagerParts {
  readonly environment: NodeJS.ProcessEnv
  readonly pid: number
  readonly send: (address: string, text: string) => void
  /** Called once, with the first message that could not be sent. */
  readonly onTrouble: (message: string) => void
}

/** Takes what the service manager said out of the environment, so that no child believes that it is meant. */
export function serviceManager(onTrouble: (message: string) => void): ServiceManager {
  const environment = { ...process.env }
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(process.env, name)
  return createServiceManager({ environment, pid: process.pid, send: sendDatagram, onTrouble })
}

export function createServiceManager({ environment, pid, send, onTrouble }: ManagerParts): ServiceManager {
  const address = environment['NOTIFY_SOCKET'] ?? ''
  let troubled = false
  let timer: NodeJS.Timeout | undefined

  const tell = (...lines: string[]) => {
    if (address === '') return
    try {
      send(address, lines.join('\n'))
    } catch (error) {
      if (!troubled) onTrouble(`the service manager cannot be told: ${(error as Error).message}`)
      troubled = true
    }
  }

  const unwatch = () => {
    clearInterval(timer)
    timer = undefined
  }

  return {
    ready: status => {
      tell('READY=1', `STATUS=${status.replaceAll('\n', ' ')}`)
    },
    reloading: () => {
      tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    },
    stopping: () => {
      unwatch()
      tell('STOPPING=1')
    },
    watch: answers => {
      const every = watchdogMilliseconds(environment, pid)
      if (address === '' || every === undefined) return
      let waiting = false
      const ask = () => {
        // One question at a time: an answer that comes late still counts, and none at all is what it is about.
        if (waiting) return
        waiting = true
        answers().then(
          () => {
            waiting = false
            if (timer) tell('WATCHDOG=1')
          },
          // It does not answer, then; why, others say.
          () => undefined,
        )
      }
      // Half the time, as systemd recommends.
      timer = setInterval(ask, every / 2)
      ask()
    },
    close: unwatch,
  }
}

/** Within this time the service manager wants to hear something; undefined when it does not, or not from this process. */
function watchdogMilliseconds(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const { WATCHDOG_USEC: microseconds = '', WATCHDOG_PID: whose = '' } = environment
  if (!/^[1-9]\d*$/.test(microseconds) || (whose !== '' && whose !== String(pid))) return undefined
  return Number(microseconds) / 1000
}

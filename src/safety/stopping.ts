/** Whether the machine is being stopped or restarted. */
import { execute } from '../util/index.js'

const milliseconds = 5_000

/** The states of systemd in which the machine goes on. */
const goingOn = ['initializing', 'starting', 'running', 'degraded', 'maintenance']

/** In doubt it is, also where there is no systemd. */
export async function isStopping(systemctl: () => Promise<string> = systemState): Promise<boolean> {
  const state = await systemctl().catch(() => '')
  return !goingOn.includes(state.trim())
}

const systemState = async () => (await execute('systemctl', ['is-system-running'], '', { milliseconds })).stdout

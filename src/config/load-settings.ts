/** The options beside services and credentials. */
import type { Context } from './context.js'
import { loadFleet } from './load-fleet.js'
import { loadNotify } from './load-notify.js'
import { reportIssues } from './issues.js'
import { settingsSchema } from './settings-schema.js'
import type { Config } from './types.js'

type Settings = Omit<Config, 'file' | 'services' | 'credentials'>

/** Undefined when a value is wrong, which is reported. */
export function loadSettings(context: Context): Settings | undefined {
  const { merged, findings } = context
  const isSetting = ([key]: [string, unknown]) => key !== 'services' && key !== 'credentials'
  const given = Object.fromEntries(Object.entries(merged.value).filter(isSetting))
  const { success, data, error } = settingsSchema.safeParse(given)
  if (!success) {
    reportIssues(error.issues, [], merged, findings)
    return undefined
  }
  return {
    queue: { number: data.queue.number, maxLength: data.queue['max-length'] },
    marks: data.marks,
    limits: {
      perSource: data.limits['per-source'],
      perNetwork: data.limits['per-network'],
      excess: data.limits.excess,
      total: data.limits.total,
      replayEntries: data.limits['replay-entries'],
      anyClockEntries: data.limits['any-clock-entries'],
      triggersAtOnce: data.limits['triggers-at-once'],
      triggersWaiting: data.limits['triggers-waiting'],
    },
    openPorts: data['open-ports'],
    stateDirectory: data['state-directory'],
    socket: { path: data.socket.path, group: data.socket.group, groupMay: data.socket['group-may'] },
    log: data.log,
    fleet: loadFleet(data.fleet, context),
    selfTestSeconds: data['self-test'],
    notify: loadNotify(data.notify ?? {}, context),
    metrics: {
      listen: data.metrics.listen,
      textfile: data.metrics.textfile,
      intervalSeconds: data.metrics.interval,
    },
  }
}

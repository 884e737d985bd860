/** Options that the daemon reads at its start only. A reload leaves them as they are, and says which ones changed. */
import type { Config } from '../config/types.js'

const valuesOf = ({
  queue,
  marks,
  stateDirectory,
  socket,
  limits,
  log,
  metrics,
  fleet,
}: Config): Record<string, unknown> => ({
  'queue.number': queue.number,
  'queue.max-length': queue.maxLength,
  'marks.mask': marks.mask,
  'state-directory': stateDirectory,
  'socket.path': socket.path,
  'socket.group': socket.group,
  'socket.group-may': socket.groupMay,
  'limits.replay-entries': limits.replayEntries,
  'limits.any-clock-entries': limits.anyClockEntries,
  'metrics.listen': metrics.listen,
  'metrics.textfile': metrics.textfile,
  'metrics.interval': metrics.intervalSeconds,
  'log.history': log.history,
  fleet,
})

/** The names of the options that differ from those that the daemon started with. */
export function changedStartOptions(started: Config, loaded: Config): string[] {
  const before = valuesOf(started)
  return Object.entries(valuesOf(loaded)).flatMap(([name, value]) =>
    JSON.stringify(value) === JSON.stringify(before[name]) ? [] : [name],
  )
}

/** `loaded`, with the options that stay in force until a restart. */
export function withStartOptions(started: Config, loaded: Config): Config {
  const { queue, marks, stateDirectory, socket, metrics, fleet } = started
  const { replayEntries, anyClockEntries } = started.limits
  return {
    ...loaded,
    queue,
    marks,
    stateDirectory,
    socket,
    metrics,
    fleet,
    limits: { ...loaded.limits, replayEntries, anyClockEntries },
    log: { ...loaded.log, history: started.log.history },
  }
}

/** `pkctl list --fleet`: what all servers of the fleet have granted, as this one knows it. */
import { askOrExplain } from '../../daemon/control-client.js'
import type { FleetAnswer } from '../../fleet/index.js'
import type { Terminal } from '../../util/index.js'
import { durationText } from '../../util/index.js'
import { jsonText } from './json-output.js'

interface ListFlags {
  readonly json?: boolean
  readonly socket: string
}

/** With a name, of this service alone. */
export async function listFleet(
  terminal: Terminal,
  name: string | undefined,
  { json, socket }: ListFlags,
): Promise<void> {
  const { status, grants: all } = (await askOrExplain(socket, 'fleet')) as FleetAnswer
  const grants = all.filter(({ service }) => name === undefined || service === name)
  const { group, node, engine } = status
  if (json) {
    terminal.out(jsonText({ group, node, engine, grants }))
    return
  }
  const ofWhat = name === undefined ? '' : ` for ${name}`
  if (engine !== 'connected') terminal.warn('the engine of the fleet is away: this is what was known before')
  if (grants.length === 0) terminal.out(`no grants${ofWhat} in the fleet ${group}`)
  for (const { source, service, by, node: maker, secondsLeft, until } of grants) {
    const left = `${durationText(secondsLeft)} left, until ${until.replace(/\.\d+Z$/, 'Z')}`
    terminal.out(`${source}  ${service}  ${left}  by ${by} at ${maker}`)
  }
}

/** The section `services`: each entry by the schema, its options against each other, and all entries against each other. */
import type * as z from 'zod'
import { subtractPorts } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import type { ConfigPath } from './config-path.js'
import { formatPath, isMapping } from './config-path.js'
import type { Context } from './context.js'
import { namedEntries } from './context.js'
import { reportIssues } from './issues.js'
import type { Conflict } from './service-rules.js'
import { conflictsOf, serviceDefaults, serviceFrom } from './service-rules.js'
import { checkOverlaps } from './service-overlaps.js'
import { serviceSchema } from './service-schema.js'

/** The services that could be read, without those whose name cannot be one. */
export function loadServices(context: Context): ServiceSpec[] {
  const { merged, findings } = context
  const services = namedEntries('services', context).flatMap(([name, given]) => {
    const at = ['services', name]
    if (isMapping(given)) reportConflicts(given, at, context)
    const { success, data, error } = serviceSchema.safeParse(given)
    if (success) return servicesOf(name, data, at, context)
    reportIssues(error.issues, at, merged, findings)
    return []
  })
  checkOverlaps(services, context)
  return services
}

/** What contradicts what is reported even when some value is wrong. */
function reportConflicts(given: Record<string, unknown>, at: ConfigPath, { merged, findings }: Context): void {
  const { protocol = serviceDefaults.protocol } = given
  for (const { option, reason } of conflictsOf(given)) {
    const path = [...at, option]
    const position = reason === 'accept-excludes-reject' ? merged.positionOfKey(path) : merged.positionOf(path)
    const [message, hint] = sentences[reason](String(protocol))
    findings.problem(position, `${formatPath(path)}${message}`, hint)
  }
}

const sentences: Readonly<Record<Conflict['reason'], (protocol: string) => readonly [string, hint?: string]>> = {
  'syn-needs-tcp': protocol => [`only protocol tcp can have it, this is ${protocol}`],
  'reset-needs-tcp': protocol => [`only TCP can be reset, this is ${protocol}`, "use 'icmp'"],
  'accept-excludes-reject': () => ["excludes 'accept: true', which refuses no packet"],
}

function servicesOf(
  name: string,
  data: z.output<typeof serviceSchema>,
  at: ConfigPath,
  { merged, findings }: Context,
): ServiceSpec[] {
  const {
    port,
    except,
    syn,
    log,
    'single-use': singleUse,
    'fail-open': failOpen,
    interface: interfaces,
    ...options
  } = data
  const ports = subtractPorts(port, except)
  if (ports.length === 0) {
    findings.problem(merged.positionOf([...at, 'except']), `${formatPath([...at, 'except'])}leaves no port to protect`)
    return []
  }
  return [
    serviceFrom(name, {
      ...options,
      ports,
      syn: syn ?? options.protocol === 'tcp',
      singleUse,
      failOpen,
      interfaces,
      log: log === true ? {} : log || null,
    }),
  ]
}

/** What the names of interfaces in a configuration mean on this machine, now. */
import * as fs from 'node:fs'
import { matchesInterface } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import type { Config } from './types.js'

/** An interface, and the one that it belongs to: a bridge, a bond or a VRF. */
export interface HostInterface {
  readonly name: string
  readonly master: string | null
}

/** An interface that a service or a credential names, and why its packets are not those that may be meant. */
interface UnmatchedInterface {
  readonly service?: string
  readonly credential?: string
  /** A sentence. */
  readonly message: string
  readonly advice: string
}

const directory = '/sys/class/net'

/** The interfaces of this machine; null where they cannot be seen. */
export function hostInterfaces(): HostInterface[] | null {
  try {
    return fs.readdirSync(directory).map(name => {
      const link = `${directory}/${name}/master`
      return { name, master: fs.existsSync(link) ? (fs.readlinkSync(link).split('/').at(-1) ?? null) : null }
    })
  } catch {
    return null
  }
}

/** The names that match nothing now, or what never comes in by that name itself. */
export function unmatchedInterfaces(
  { services, credentials }: { readonly services: Iterable<ServiceSpec>; readonly credentials: Config['credentials'] },
  host: readonly HostInterface[] | null,
): UnmatchedInterface[] {
  if (host === null) return []
  return [
    ...[...services].flatMap(({ name: service, interfaces }) =>
      problemsOf(interfaces, host).map(({ what, advice }) => {
        const message = `service ${service} filters only what comes in by ${interfaces.join(', ')}, and ${what}: by other interfaces its port is open`
        return { service, message, advice }
      }),
    ),
    ...credentials
      .filter(({ enabled }) => enabled)
      .flatMap(({ name: credential, interfaces }) =>
        problemsOf(interfaces, host).map(({ what, advice }) => {
          const message = `knocks of credential ${credential} count only by ${interfaces.join(', ')}, and ${what}`
          return { credential, message, advice }
        }),
      ),
  ]
}

function problemsOf(names: readonly string[], host: readonly HostInterface[]): { what: string; advice: string }[] {
  return names.flatMap(name => {
    const found = host.filter(one => matchesInterface(name, one.name))
    if (found.length === 0) {
      const there = host.map(one => one.name).filter(one => one !== 'lo')
      return [{ what: `there is no interface ${name} now`, advice: `there is ${there.join(', ') || 'none'}` }]
    }
    const inside = found.find(({ master }) => master !== null && !names.some(other => matchesInterface(other, master)))
    if (!inside) return []
    const { master } = inside
    return [
      {
        what: `${inside.name} belongs to ${master}, by which its packets come in`,
        advice: `name ${master}; for a VRF, name ${master} and ${inside.name}`,
      },
    ]
  })
}

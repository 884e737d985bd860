/**
 * Ends connections of sources to services, by `ss --kill` of iproute2: the kernel resets them, if it has
 * CONFIG_INET_DIAG_DESTROY. Only those that end on this machine: what is passed on to another one is not its own.
 */
import { hostBeforePort, prefixContains } from '../../net/index.js'
import type { ServiceState } from '../../nft/index.js'
import type { Connection } from '../../safety/ssh-session.js'
import { execute, oneLine, UserError } from '../../util/index.js'

interface ConnectionScope {
  readonly service: string
  /** An address, or a prefix. */
  readonly source: string
}

interface EndedConnections {
  readonly ended: number
  /** Those that are still there. */
  readonly left: number
  /** Whether the session that is to go on was among them. */
  readonly spared: boolean
}

export async function endConnections(
  places: readonly ConnectionScope[],
  services: readonly ServiceState[],
  session?: Connection,
): Promise<EndedConnections> {
  let [ended, left, spared] = [0, 0, false]
  for (const { service, source } of places) {
    const spec = services.find(state => state.spec.name === service)?.spec
    if (!spec) continue
    const ports = spec.ports.map(({ first, last }) =>
      first === last ? `sport = :${first}` : `( sport >= :${first} and sport <= :${last} )`,
    )
    const isOwn =
      session !== undefined &&
      prefixContains(source, session.address) &&
      spec.ports.some(({ first, last }) => first <= session.port && session.port <= last)
    for (const kind of kindsOf[spec.protocol]) {
      const isSpared = isOwn && kind === '--tcp'
      spared ||= isSpared
      const rest = isSpared ? ` and not ( ${endsOf(session)} )` : ''
      const filter = `dst ${hostBeforePort(source)} and ( ${ports.join(' or ')} )${rest}`
      const words = ['--no-header', '--numeric', kind, 'state', 'connected', 'exclude', 'time-wait', filter]
      const before = await linesOf(words)
      if (before === 0) continue
      await execute('ss', ['--kill', ...words])
      const after = await linesOf(words)
      ended += before - after
      left += after
    }
  }
  return { ended, left, spared }
}

const endsOf = ({ address, remotePort, port }: Connection) =>
  `dst ${hostBeforePort(address)} and dport = :${remotePort} and sport = :${port}`

const kindsOf = { tcp: ['--tcp'], udp: ['--udp'], sctp: ['--sctp'], any: ['--tcp', '--udp', '--sctp'] } as const

async function linesOf(words: readonly string[]): Promise<number> {
  const { status, stdout, stderr } = await execute('ss', words).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new UserError('there is no program ss, which ends connections', 'install iproute2')
  })
  if (status !== 0) throw new UserError(`ss does not list the connections: ${oneLine(stderr)}`)
  return stdout.split('\n').filter(line => line.trim() !== '').length
}

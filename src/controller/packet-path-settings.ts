/** What the kernel needs to know to pick out knocks and to grant by mark. */
import { knockFormats } from '../config/credentials/credential-types.js'
import type { Config } from '../config/types.js'
import type { GrantAction, Marks, PacketPathSpec, ServiceSpec } from '../nft/index.js'
import type { ActiveCredential } from './active-credentials.js'
import { sequencePortsOf } from './active-credentials.js'

/** How knocks come to the daemon. It stays as it is until the daemon restarts. */
interface QueueBinding {
  readonly queue: number
  /** By nft's own queue statement; otherwise by a rule of iptables-nft. */
  readonly native: boolean
  readonly marks: Marks
}

/** `now`: Unix seconds. */
export function packetPathSpec(
  { limits, openPorts }: Config,
  active: readonly ActiveCredential[],
  actions: readonly GrantAction[],
  services: ReadonlyMap<string, ServiceSpec>,
  binding: QueueBinding,
  now: number,
): PacketPathSpec {
  const affected = active.flatMap(({ credential: { opens, closes } }) =>
    [...opens, ...closes].flatMap(name => services.get(name) ?? []),
  )
  return {
    ...binding,
    // The earlier hook serves both: a grant made before routing exists when the packet reaches the input hook.
    hook: affected.some(({ hook }) => hook === 'prerouting') ? 'prerouting' : 'input',
    shapes: active.flatMap(({ kind, credential }) => {
      const { interfaces } = credential
      return kind === 'packet' ? knockFormats.shapesOf(credential, now).map(shape => ({ ...shape, interfaces })) : []
    }),
    sequencePorts: sequencePortsOf(active, openPorts),
    actions,
    perSourceLimit: limits.perSource,
    perNetworkLimit: limits.perNetwork,
    excessLimit: limits.excess,
    totalLimit: limits.total,
  }
}

/** What the kernel needs to know to pick out knocks and to grant by mark. */
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { Config } from '../../config/types.js'
import type { GrantAction, KnockShape, Marks, PacketPathSpec, ServiceSpec } from '../../nft/index.js'
import type { ActiveCredential } from '../verify/active-credentials.js'
import { sequencePortsOf } from '../verify/active-credentials.js'
import { ownShape } from '../self-test/targets.js'

/** How knocks come to the daemon. It stays as it is until the daemon restarts. */
interface QueueBinding {
  readonly queue: number
  /** By nft's own queue statement; otherwise by a rule of iptables-nft. */
  readonly native: boolean
  readonly marks: Marks
  readonly selfTestToken: Uint8Array
}

/** `now`: Unix seconds. */
export function packetPathSpec(
  { limits, openPorts, selfTestSeconds }: Config,
  active: readonly ActiveCredential[],
  actions: readonly GrantAction[],
  services: ReadonlyMap<string, ServiceSpec>,
  { selfTestToken, ...binding }: QueueBinding,
  now: number,
): PacketPathSpec {
  const affected = active.flatMap(({ credential: { opens, closes } }) =>
    [...opens, ...closes].flatMap(name => services.get(name) ?? []),
  )
  const shapes = active.flatMap(({ kind, credential }): KnockShape[] => {
    const { interfaces } = credential
    return kind === 'packet' ? knockFormats.shapesOf(credential, now).map(shape => ({ ...shape, interfaces })) : []
  })
  const own = selfTestSeconds === null || active.length === 0 ? null : ownShape(shapes, selfTestToken)
  return {
    ...binding,
    // The earlier hook serves both: a grant made before routing exists when the packet reaches the input hook.
    hook: affected.some(({ hook }) => hook === 'prerouting') ? 'prerouting' : 'input',
    shapes: own ? [...shapes, own] : shapes,
    taggedLengths: active.flatMap(({ kind, credential }) =>
      kind === 'packet' ? knockFormats.taggedLengthsOf(credential.type) : [],
    ),
    sequencePorts: sequencePortsOf(active, openPorts),
    actions,
    perSourceLimit: limits.perSource,
    perNetworkLimit: limits.perNetwork,
    excessLimit: limits.excess,
    totalLimit: limits.total,
  }
}

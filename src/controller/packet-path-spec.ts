/** What the kernel needs to know to pick out knocks and to grant by mark. */
import type { Config, PkdCredential } from '../config/types.js'
import { oboUdpLength } from '../knock/pkd-on-behalf.js'
import { udpLength } from '../knock/pkd.js'
import type { Marks } from '../nft/table/marks.js'
import type { GrantAction, PacketPathSpec } from '../nft/table/packet-path-spec.js'
import type { ServiceSpec } from '../nft/table/service-spec.js'
import type { ActiveCredential } from './active-credentials.js'
import { sequencePortsOf } from './active-credentials.js'

/** How knocks come to the daemon. It stays as it is until the daemon restarts. */
interface QueueBinding {
  readonly queue: number
  /** By nft's own queue statement; otherwise by a rule of iptables-nft. */
  readonly native: boolean
  readonly marks: Marks
}

export function packetPathSpec(
  { limits, openPorts }: Config,
  active: readonly ActiveCredential[],
  actions: readonly GrantAction[],
  services: ReadonlyMap<string, ServiceSpec>,
  binding: QueueBinding,
): PacketPathSpec {
  const affected = active.flatMap(({ credential: { opens, closes } }) =>
    [...opens, ...closes].flatMap(name => services.get(name) ?? []),
  )
  return {
    ...binding,
    // The earlier hook serves both: a grant made before routing exists when the packet reaches the input hook.
    hook: affected.some(({ hook }) => hook === 'prerouting') ? 'prerouting' : 'input',
    shapes: knockShapes(active.flatMap(one => (one.kind === 'pkd' ? [one.credential] : []))),
    sequencePorts: sequencePortsOf(active, openPorts),
    actions,
    perSourceLimit: limits.perSource,
    excessLimit: limits.excess,
    totalLimit: limits.total,
  }
}

/** By which lengths, first words and ports the kernel recognises knocks of these credentials. */
function knockShapes(credentials: readonly PkdCredential[]): PacketPathSpec['shapes'] {
  return credentials.flatMap(({ tag, port, onBehalfOf }) =>
    [udpLength, ...(onBehalfOf.length > 0 ? [oboUdpLength] : [])].map(length => ({
      udpLength: length,
      firstWord: tag.readUInt32BE(0),
      port,
    })),
  )
}

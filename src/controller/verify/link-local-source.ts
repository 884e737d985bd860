/** Sources that name a machine only together with the link on which they are. Runs on the packet path. */
import type { Packet } from '../../queue/index.js'

/** 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291, section 2.5.6). */
export function hasLinkLocalSource({ buffer, sourceAt, version }: Packet): boolean {
  const start = buffer.readUInt16BE(sourceAt)
  return version === 6 ? (start & 0xffc0) === 0xfe80 : start === 0xa9fe
}

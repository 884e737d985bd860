/** Addresses, prefixes, ports and protocols. */
export type { IpFamily } from './addresses.js'
export {
  addressBytes,
  addressFromBytes,
  bitsOf,
  canonicalAddress,
  familyOf,
  hostBeforePort,
  ipFamilies,
  maskAddress,
  parseAddress,
} from './addresses.js'
export type { HostInterface } from './host-interfaces.js'
export { hostInterfaces, onlyLink, vrfNames } from './host-interfaces.js'
export { matchesInterface, parseInterface, withoutCovered } from './interfaces.js'
export type { PortRange } from './ports.js'
export { formatPortRange, formatPorts, mergePorts, parsePort, parsePorts, subtractPorts } from './ports.js'
export { netmask, parsePrefix, prefixContains, splitPrefix, withoutContained } from './prefixes.js'
export { isLinkLocal, parseGranted, parseSource } from './sources.js'
export { protocolNumbers, protocolTcp, protocolUdp } from './protocols.js'
export { parseTcpSockets } from './tcp-sockets.js'

/** IANA protocol numbers. */

export const protocolTcp = 6
export const protocolUdp = 17

/** The protocols with ports, by the names that nft gives them: nft itself knows these only where /etc/protocols is. */
export const protocolNumbers = { tcp: protocolTcp, udp: protocolUdp, dccp: 33, sctp: 132, udplite: 136 } as const

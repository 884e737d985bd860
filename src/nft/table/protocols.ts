/** Protocols with ports, as IANA numbers: nft knows their names only where /etc/protocols is installed. */
export const protocolNumbers = { tcp: 6, udp: 17, dccp: 33, sctp: 132, udplite: 136 } as const

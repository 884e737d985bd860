/** What fwknopd.conf says of every stanza: where packets must arrive, and how old they may be. */
import { maxSkewSeconds } from '../config/values.js'
import { fwknopPort } from '../knock/index.js'
import { parsePort } from '../net/index.js'
import type { Draft } from './draft.js'
import { readDaemonFile, saysYes } from './fwknop-file.js'
import { interfaceOf, interfaceOption } from './interface-names.js'
import { shorten } from './notes.js'

/** Options that all credentials have, in the order in which they are printed; those with the usual value are left out. */
interface DaemonOptions {
  readonly port?: number
  readonly skew?: number
  readonly interface?: string | readonly string[]
}

const defaultAge = 120

/** `text`: undefined where there is no such file. */
export function daemonOptions(text: string | undefined, draft: Draft): DaemonOptions {
  if (text === undefined) return {}
  const values = readDaemonFile(text, draft)
  const why = 'pkctl opens ports of this machine alone, and to the addresses of their users'
  for (const keyword of ['ENABLE_IPT_FORWARDING', 'ENABLE_FIREWD_FORWARDING', 'ENABLE_DESTINATION_RULE'])
    if (saysYes(values, keyword)) draft.caution(`left out: fwknopd.conf, ${keyword}: ${why}`)
  for (const keyword of ['ENABLE_TCP_SERVER', 'ENABLE_SPA_OVER_HTTP'])
    if (saysYes(values, keyword)) draft.caution(`left out: fwknopd.conf, ${keyword}: packets count over UDP alone`)
  const port = portIn(values, draft)
  const skew = skewIn(values, draft)
  return {
    ...(port === fwknopPort ? {} : { port }),
    ...(skew === defaultAge ? {} : { skew }),
    ...interfaceIn(values, draft),
  }
}

function portIn(values: ReadonlyMap<string, string>, draft: Draft): number {
  const usual = `udp port ${fwknopPort}`
  const isServer = saysYes(values, 'ENABLE_UDP_SERVER')
  const filter = isServer
    ? `udp port ${values.get('UDPSERV_PORT') ?? fwknopPort}`
    : (values.get('PCAP_FILTER') ?? usual)
  const [, digits = ''] = /^udp\s+(?:dst\s+)?port\s+(\d+)$/i.exec(filter) ?? []
  try {
    return parsePort(digits)
  } catch {
    const what = isServer ? 'UDPSERV_PORT' : 'PCAP_FILTER'
    draft.caution(
      `left out: fwknopd.conf, ${what} ${shorten(filter)}: packets count at port ${fwknopPort}/udp; for another one, set port`,
    )
    return fwknopPort
  }
}

function skewIn(values: ReadonlyMap<string, string>, draft: Draft): number {
  if (/^n/i.test(values.get('ENABLE_SPA_PACKET_AGING') ?? '')) {
    draft.caution('ENABLE_SPA_PACKET_AGING N: packets of any age count, as there; with skew, old ones are refused')
    return -1
  }
  const text = values.get('MAX_SPA_PACKET_AGE') ?? String(defaultAge)
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (seconds >= 1 && seconds <= maxSkewSeconds) return seconds
  draft.caution(`MAX_SPA_PACKET_AGE ${shorten(text)} is no time from 1 second to a day; it is ${defaultAge} s here`)
  return defaultAge
}

function interfaceIn(values: ReadonlyMap<string, string>, draft: Draft): DaemonOptions {
  const name = values.get('PCAP_INTF')
  if (name === undefined || name === 'any' || saysYes(values, 'ENABLE_UDP_SERVER')) return {}
  const closed =
    'ports are closed on all interfaces: sources behind another one, such as a LAN or a VPN, need to be in the allow ' +
    'of the service, or give the service the interface by which alone it is to be closed'
  const known = interfaceOf(name)
  if (known === undefined) {
    draft.caution(`left out: PCAP_INTF ${shorten(name)}: packets count on all interfaces, and ${closed}`)
    return {}
  }
  draft.caution(`PCAP_INTF ${shorten(name)}: packets count on this interface alone, but ${closed}`)
  return interfaceOption([known])
}

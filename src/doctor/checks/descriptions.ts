/** Words that several findings share. */
import { formatPorts, protocolNumbers } from '../../net/index.js'
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'

/** The protocols that doctor judges for a service of any protocol. */
const judged = ['tcp', 'udp', 'sctp'] as const

export const protocolsOf = ({ protocol }: Pick<ServiceSpec, 'protocol'>): number[] =>
  protocol === 'any' ? judged.map(name => protocolNumbers[name]) : [protocolNumbers[protocol]]

export const protocolName = (number: number): string =>
  judged.find(name => protocolNumbers[name] === number) ?? String(number)

export function servicePorts({ ports, protocol }: Pick<ServiceSpec, 'ports' | 'protocol'>): string {
  return `${formatPorts(ports)}/${protocol}`
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`
}

/** Whose rules they are, as far as their names tell. */
type Owner = 'ufw' | 'firewalld' | 'docker' | 'iptables' | 'nft'

export function ownerOf(chain: RuleChain, chains: readonly RuleChain[]): Owner {
  const tablemates = chains.filter(({ family, table }) => family === chain.family && table === chain.table)
  if (chain.table === 'firewalld') return 'firewalld'
  if (tablemates.some(({ name }) => /^ufw6?-/.test(name))) return 'ufw'
  if (chain.name.startsWith('DOCKER') || (chain.base?.nat && tablemates.some(({ name }) => name.startsWith('DOCKER'))))
    return 'docker'
  const ofIptables = chain.family !== 'inet' && /^(raw|mangle|nat|filter|security)$/.test(chain.table)
  return chain.tool !== undefined || (ofIptables && chain.name === chain.name.toUpperCase()) ? 'iptables' : 'nft'
}

export function chainText(chain: RuleChain, chains: readonly RuleChain[]): string {
  const owner = ownerOf(chain, chains)
  const where = `chain ${chain.name} of table ${chain.family} ${chain.table}`
  const names = {
    ufw: 'ufw',
    firewalld: 'firewalld',
    docker: 'docker',
    iptables: chain.tool ?? 'iptables-nft',
    nft: '',
  }
  return owner === 'nft' ? where : `${names[owner]} (${where})`
}

/** The files from which the firewall is loaded at boot, and what of pkctl's rules stands in them. */
import { nftablesFiles, readSavedFiles, savedPart } from '../../nft/foreign/index.js'
import type { SavedRules } from '../facts.js'

const files = () => [
  ...nftablesFiles(),
  ...['/etc/iptables/rules.v4', '/etc/iptables/rules.v6', '/etc/sysconfig/iptables', '/etc/sysconfig/ip6tables'],
]

/** Those of the files in which something of pkctl stands. */
export function savedRules(from: readonly string[] = files()): SavedRules[] {
  return [...readSavedFiles(from).texts].flatMap(([path, text = '']) => {
    const part = savedPart(text)
    return part.hasTable || part.grants > 0 || part.hasQueueRule ? [{ path, ...part }] : []
  })
}

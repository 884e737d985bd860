/** What pkctl stands on: the kernel, rights, programs, the library. */
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

/** The oldest release with which pkctl is tested. */
const testedNft = [1, 0, 6] as const

export function checkMachine({ machine, notSeen }: Facts): Finding[] {
  const { root, netAdmin, nft, iptablesNft, flock, nfTables, nfnetlinkQueue, libraryProblem } = machine
  const findings: Finding[] = []
  const say = (...parts: Parameters<typeof finding>) => findings.push(finding(...parts))
  for (const { what, why } of notSeen) {
    const advice = root ? 'fix that, and run pkctl doctor again' : 'run pkctl doctor as root'
    say('not-looked-at', `${what} could not be checked: ${why}`, advice)
  }
  if (root && !netAdmin) {
    say(
      'no-net-admin',
      'there is no right to change the firewall, although this is root (the capability CAP_NET_ADMIN is missing)',
      'run pkctl on the host, or give the container CAP_NET_ADMIN and a network of its own',
    )
  }
  if (nft === null) say('no-nft', 'there is no nft program', 'install the package nftables')
  else if (isOlder(nft)) {
    say('old-nft', `nft is ${nft}, and pkctl is tested with ${testedNft.join('.')} and later`, 'use a later nftables')
  }
  if (!flock)
    say(
      'no-flock',
      'there is no flock program, by which commands wait for one another',
      'install the package util-linux',
    )
  if (nfTables?.works === false) {
    say(
      'no-nf-tables',
      `the kernel takes no table of family inet: ${nfTables.why}`,
      'use a kernel with nf_tables (Linux 5.10 or later), or load the module nf_tables',
    )
  }
  if (nfTables?.works && !nfTables.nativeQueue) {
    if (iptablesNft) {
      say(
        'queue-by-iptables',
        "the kernel has no queue statement in nft; pkctld uses a rule of iptables-nft's mangle table instead",
        'nothing; leave that rule, whose comment begins with pkctl, where it is',
      )
    } else {
      say(
        'no-way-to-queue',
        'the kernel has no queue statement in nft, and there is no iptables-nft either: knocks cannot come to pkctld',
        'install the package iptables, or use a kernel with nft_queue',
      )
    }
  }
  if (nfnetlinkQueue === false) {
    say(
      'no-nfnetlink-queue',
      'the kernel has no NFQUEUE: pkctld cannot listen',
      'use a kernel with the module nfnetlink_queue',
    )
  }
  if (libraryProblem !== null) {
    say(
      'no-libnetfilter-queue',
      `pkctld cannot listen: ${libraryProblem}`,
      'install the package libnetfilter-queue1 (Debian, Ubuntu) or libnetfilter_queue (Fedora)',
    )
  }
  return findings
}

function isOlder(version: string): boolean {
  const parts = version.split('.').map(Number)
  const at = testedNft.findIndex((wanted, i) => (parts[i] ?? 0) !== wanted)
  return at >= 0 && (parts[at] ?? 0) < (testedNft[at] ?? 0)
}

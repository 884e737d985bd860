/** A ruleset of another program with a big list, as country blocks are: it flushes what is there, as /etc/nftables.conf does. */
export function bigList(prefixes: number): string {
  const list = Array.from({ length: prefixes }, (_, i) => {
    const n = 2 * i
    return `${1 + ((n >> 16) % 200)}.${(n >> 8) & 255}.${n & 255}.0/24`
  })
  return [
    'flush ruleset',
    `table inet geo {\n set b { type ipv4_addr; flags interval; auto-merge; elements = { ${list.join(',\n')} }; }`,
    ' chain input { type filter hook input priority -10; ip saddr @b drop; }\n}\n',
  ].join('\n')
}

import { knockHex, knockPort } from '../../support/knocks.js'
import { servicePort } from '../site.js'
import type { Peer } from './peer.js'

const config = [
  'limits: { replay-entries: 16000000 }',
  `services: { ssh: { port: ${servicePort}, window: 60, reject: reset } }`,
  'credentials: { bench: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 60, rate: none } }',
].join('\n')

export const pkctl: Peer = {
  name: 'pkctl',
  about: 'PKD knocks, as configured by default',
  async start(site) {
    const daemon = await site.daemon(config)
    return {
      pid: daemon.child.pid,
      knocks: sources => Promise.resolve(sources.map(() => [{ port: knockPort, hex: knockHex() }])),
      opened: () => site.grants(),
      flood: { kind: 'shaped', port: knockPort },
      takesStorms: true,
    }
  },
}

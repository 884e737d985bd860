/** Debian's knockd and fwknopd, with the rules of iptables that they are used with. */
import * as fs from 'node:fs'
import path from 'node:path'
import { must, run } from '../../support/commands.js'
import { server4 } from '../../support/lab.js'
import type { Site } from '../site.js'
import { servicePort } from '../site.js'
import type { Peer } from './peer.js'

const isStart = ['-p', 'tcp', '--dport', String(servicePort), '--syn']

/** The port is closed by the last rule of INPUT. */
const close = (site: Site) =>
  site.onServer('iptables', '-A', 'INPUT', ...isStart, '-j', 'REJECT', '--reject-with', 'tcp-reset')

const accepting = (site: Site, chain: string) => async () =>
  (await site.onServer('iptables', '-S', chain)).match(/ACCEPT/g)?.length ?? 0

const [firstStep, secondStep] = [7000, 8000]

export const knockd: Peer = {
  name: 'knockd',
  about: "Debian's knockd, a sequence of two UDP ports, a command of iptables for each",
  async start(site) {
    await close(site)
    const file = site.lab.file(
      'knockd.conf',
      `[options]
logfile = ${site.lab.directory}/knockd.log
pidfile = ${site.lab.directory}/knockd.pid
interface = s0
[ssh]
sequence = ${firstStep}:udp,${secondStep}:udp
seq_timeout = 5
command = /usr/sbin/iptables -I INPUT -s %IP% ${isStart.join(' ')} -j ACCEPT
`,
    )
    const daemon = site.lab.start('server', ['knockd', '-c', file, '-v'])
    await daemon.says(/listening/)
    return {
      pid: daemon.child.pid,
      knocks: sources => Promise.resolve(sources.map(() => [firstStep, secondStep].map(port => ({ port, hex: '' })))),
      opened: accepting(site, 'INPUT'),
      flood: { kind: 'rubbish', port: firstStep },
      takesStorms: false,
    }
  },
}

const fwknopPort = 62201
const [key, hmacKey] = ['a key for the benchmark', 'another key for it']

export const fwknopd: Peer = {
  name: 'fwknopd',
  about: "Debian's fwknopd, Rijndael with HMAC, which sniffs for its packets",
  async start(site) {
    await close(site)
    const { directory } = site.lab
    const access = site.lab.file(
      'access.conf',
      `SOURCE ANY\nOPEN_PORTS tcp/${servicePort}\nKEY ${key}\nHMAC_KEY ${hmacKey}\nFW_ACCESS_TIMEOUT 300\n`,
    )
    const conf = site.lab.file(
      'fwknopd.conf',
      `PCAP_INTF s0;\nPCAP_FILTER udp port ${fwknopPort};\nFWKNOP_RUN_DIR ${directory};\nFWKNOP_PID_FILE ${directory}/fwknopd.pid;\nDIGEST_FILE ${directory}/digests;\n`,
    )
    const daemon = site.lab.start('server', ['fwknopd', '-f', '-c', conf, '-a', access])
    await daemon.says(/Sniffing interface/)
    return {
      pid: daemon.child.pid,
      knocks: sources =>
        Promise.all(sources.map(async source => [{ port: fwknopPort, hex: await spaPacket(directory, source) }])),
      opened: accepting(site, 'FWKNOP_INPUT'),
      flood: { kind: 'rubbish', port: fwknopPort },
      takesStorms: false,
    }
  },
}

/** Made by Debian's client, which sends nothing with --test. */
async function spaPacket(directory: string, source: string): Promise<string> {
  const file = path.join(directory, `packet-${source}`)
  await must([
    ...[
      'fwknop',
      '--test',
      '--no-home-dir',
      '--no-rc-file',
      '-E',
      `${file}.args`,
      '--save-packet',
      file,
      '-D',
      server4,
    ],
    ...['-A', `tcp/${servicePort}`, '-a', source, '--key-rijndael', key, '--use-hmac', '--key-hmac', hmacKey],
  ])
  return Buffer.from(fs.readFileSync(file, 'utf8').trim()).toString('hex')
}

/** Undefined when both are installed, else what is missing. */
export async function missingPrograms(): Promise<string | undefined> {
  for (const program of ['knockd', 'fwknopd', 'fwknop', 'iptables']) {
    if ((await run(['sh', '-c', `command -v ${program}`])).status !== 0) return program
  }
  return undefined
}

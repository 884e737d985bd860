/** How long commands take, for people, cron and Ansible wait for each, beside a process of Node's that does nothing. */
import { pkctl, must } from '../support/commands.js'
import { server4 } from '../support/lab.js'
import type { Row } from './report.js'
import { median, progress } from './report.js'
import { configOf, Site } from './site.js'

const rounds = 20

export async function commandsPart(): Promise<Row[]> {
  const site = await Site.create()
  const { lab } = site
  try {
    const config = lab.config(configOf(), 'log: { level: info, format: json }')
    await lab.daemon(config)
    const socket = ['--socket', lab.socket]
    const key = lab.file('key', 'test\n', 0o600)
    const commands: Readonly<Record<string, readonly string[]>> = {
      list: ['list', ...socket],
      status: ['status', ...socket],
      add: ['add', '203.0.113.7', '--service', 'ssh', '--for', '1h', ...socket],
      check: ['check', '--config', config],
      knock: ['knock', server4, '--tag', 'SSHK', '--key-file', key],
      '--help': ['--help'],
    }
    const milliseconds = Object.fromEntries(['bare', ...Object.keys(commands)].map(name => [name, [] as number[]]))
    const time = async (name: string, namespace: string, argv: readonly string[]) => {
      const start = performance.now()
      await must(['ip', 'netns', 'exec', namespace, process.execPath, ...argv])
      milliseconds[name]?.push(performance.now() - start)
    }
    progress(`commands: ${rounds} rounds`)
    // In turn, so that what else the machine does slows all of them down alike. The first round reads the files from the disk.
    for (let round = 0; round <= rounds; round++) {
      if (round === 1) for (const times of Object.values(milliseconds)) times.length = 0
      await time('bare', lab.server, ['-e', '0'])
      for (const [name, argv] of Object.entries(commands)) {
        await time(name, name === 'knock' ? lab.client : lab.server, [pkctl, ...argv])
      }
    }
    const bare = median(milliseconds['bare'] ?? [])
    return Object.keys(commands).map(name => {
      const ours = median(milliseconds[name] ?? [])
      return {
        what: `pkctl ${name}, ${rounds} times, with a running daemon`,
        figure: `median ${ours.toFixed(0)} ms`,
        how: `node -e 0, in turn with it: ${bare.toFixed(0)} ms (ratio ${(ours / bare).toFixed(1)})`,
        values: { command: ours, bare },
      }
    })
  } finally {
    await lab.remove()
  }
}

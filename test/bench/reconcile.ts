/** How long ports are open after somebody else has flushed the ruleset, as the kernel's own events tell. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { MonitorReader } from '../../src/nft/reconcile/monitor.js'
import { sleep, until } from '../support/commands.js'
import type { Row } from './report.js'
import { latency, progress } from './report.js'
import { configOf, servicePort, Site } from './site.js'

/** As many as there can be in a row without a pause before the rules are restored. */
const flushes = 20
const pauseMilliseconds = 500

export async function reconcilePart(): Promise<Row[]> {
  const site = await Site.create()
  const monitor = spawn('ip', ['netns', 'exec', site.lab.server, 'nft', 'monitor'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  try {
    await site.lab.serve(servicePort)
    await site.daemon(configOf())
    let goneAt: number | undefined
    const times: number[] = []
    const reader = new MonitorReader({
      transaction: ({ events }) => {
        const ours = events.filter(({ family, table }) => family === 'inet' && table === 'pkctl')
        if (ours.some(({ kind, verb }) => kind === 'chain' && verb === 'add') && goneAt !== undefined) {
          times.push(performance.now() - goneAt)
          goneAt = undefined
        } else if (ours.some(({ kind, verb }) => kind === 'table' && verb === 'delete')) goneAt = performance.now()
      },
      deleted: () => undefined,
    })
    createInterface({ input: monitor.stdout }).on('line', line => {
      reader.line(line)
    })
    await sleep(2000)
    progress(`reconcile: ${flushes} flushes`)
    for (let i = 0; i < flushes; i++) {
      await site.onServer('nft', 'flush', 'ruleset')
      await until(() => times.length > i)
      await sleep(pauseMilliseconds)
    }
    return [
      {
        what: 'a foreign flush: until ports are closed again',
        figure: latency(times),
        how: `from the event of the deleted table to that of the new one, ${flushes} times`,
        values: { milliseconds: times },
      },
    ]
  } finally {
    monitor.kill()
    await site.lab.remove()
  }
}

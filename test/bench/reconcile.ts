/** How long ports are open after somebody else has flushed the ruleset, as the kernel's own events tell. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Status } from '../../src/controller/report/collect-status.js'
import { MonitorReader } from '../../src/nft/reconcile/nft-monitor.js'
import { bigList } from '../support/big-list.js'
import { sleep, until } from '../support/commands.js'
import { server4, stranger4 } from '../support/lab.js'
import type { Row } from './report.js'
import { grouped, latency, median, progress } from './report.js'
import { configOf, servicePort, Site } from './site.js'

/** As many as there can be in a row without a pause before the rules are restored. */
const flushes = 20
const pauseMilliseconds = 500

const prefixes = 60_000
const reloads = 12
/** A stranger tries to get in for so long at a time, from just before a reload until the rules are restored. */
const hammerMilliseconds = 1000

export async function reconcilePart(): Promise<Row[]> {
  return [await afterFlushes(), await besideBigLists()]
}

async function afterFlushes(): Promise<Row> {
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
    return {
      what: 'a foreign flush: until ports are closed again',
      figure: latency(times),
      how: `from the event of the deleted table to that of the new one, ${flushes} times`,
      values: { milliseconds: times },
    }
  } finally {
    monitor.kill()
    await site.lab.remove()
  }
}

/** The monitor reports such a reload long after it was made, so that a stranger has to tell how long the port was open. */
async function besideBigLists(): Promise<Row> {
  const site = await Site.create()
  try {
    await site.lab.serve(servicePort)
    await site.daemon(configOf())
    const file = site.lab.file('nftables.conf', bigList(prefixes))
    const restored = async () =>
      (JSON.parse(await site.lab.mustPkctl('status', '--json')) as Pick<Status, 'healed'>).healed
    const times: number[] = []
    for (let i = 0; i <= reloads; i++) {
      progress(`reconcile: reload ${i} of ${reloads} of ${grouped(prefixes)} prefixes`)
      const before = await restored()
      let isOver = false
      const reload = async () => {
        try {
          await site.onServer('nft', '-f', file)
          await until(async () => (await restored()) > before)
        } finally {
          isOver = true
        }
      }
      const [open] = await Promise.all([openUntil(site, () => isOver), reload()])
      // The first loads the list where there was none.
      if (i > 0) times.push(open)
      await sleep(pauseMilliseconds)
    }
    return {
      what: `a reload of ${grouped(prefixes)} foreign prefixes with a flush: how long the port was open`,
      figure: `median ${median(times).toFixed(0)} ms, at most ${Math.max(...times).toFixed(0)} ms`,
      how: `between the first and the last connection of a stranger who tries each millisecond, ${reloads} times`,
      values: { milliseconds: times },
    }
  } finally {
    await site.lab.remove()
  }
}

/** For how many milliseconds a stranger came in. Each attempt takes about one. */
async function openUntil(site: Site, isOver: () => boolean): Promise<number> {
  const hammer = { host: server4, port: servicePort, from: stranger4, milliseconds: hammerMilliseconds }
  let open = 0
  while (!isOver()) {
    const [{ opened } = {}] = await site.lab.peer({ hammer })
    if (opened) open += opened.last - opened.first + 1
  }
  return open
}

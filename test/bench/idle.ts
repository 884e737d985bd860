/** What the daemon uses while nobody knocks, beside a process of Node's that waits as it does and knows nothing. */
import type { Background } from '../support/commands.js'
import { sleep } from '../support/commands.js'
import type { Row } from './report.js'
import { megabytes, progress } from './report.js'
import { configOf, Site, Usage } from './site.js'

const seconds = 20
/** After a start V8 tidies up in a few steps, eight seconds apart. */
const settlingSeconds = 30
/** A main thread that listens on a socket, and a worker that sleeps. */
const bareNode = `
  const { Worker } = require('node:worker_threads')
  new Worker('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', { eval: true })
  require('node:net').createServer().listen(0, '127.0.0.1', () => console.log('waiting'))`

export async function idlePart(): Promise<Row[]> {
  const site = await Site.create()
  try {
    const daemon = await site.daemon(configOf())
    const bare = site.lab.start('server', [process.execPath, '-e', bareNode])
    await bare.says(/waiting/)
    progress(`idle: ${settlingSeconds} s to settle, ${seconds} s to watch`)
    await sleep(settlingSeconds * 1000)
    const [ours, theirs] = await Promise.all([observe(daemon), observe(bare)])
    return [
      {
        what: 'idle daemon: memory',
        figure: `${megabytes(ours.bytes)} resident`,
        how: `${megabytes(theirs.bytes)} are those of a Node process with one worker (ratio ${(ours.bytes / theirs.bytes).toFixed(2)})`,
        values: { daemon: ours.bytes, bare: theirs.bytes },
      },
      {
        what: 'idle daemon: wake-ups',
        figure: `${(ours.sleeps / seconds).toFixed(2)}/s, ${(ours.cpuMilliseconds / seconds).toFixed(2)} ms of processor time a second`,
        how: `voluntary context switches of all threads in ${seconds} s, ${settlingSeconds} s after the start; the Node process: ${(theirs.sleeps / seconds).toFixed(2)}/s, ${(theirs.cpuMilliseconds / seconds).toFixed(2)} ms`,
        values: { daemon: ours, bare: theirs },
      },
    ]
  } finally {
    await site.lab.remove()
  }
}

async function observe(background: Background) {
  const usage = Usage.of(background)
  const [sleeps, cpu] = [usage.sleeps, usage.cpuSeconds]
  await sleep(seconds * 1000)
  return {
    bytes: usage.residentBytes,
    sleeps: usage.sleeps - sleeps,
    cpuMilliseconds: (usage.cpuSeconds - cpu) * 1000,
  }
}

/** Lets one thread of a daemon stand still: a signal would stop all of them. */
import * as fs from 'node:fs'
import type { Background } from './commands.js'
import { until } from './commands.js'
import type { Lab } from './lab.js'

/** The packet worker, which is the thread that waits in poll(2). It goes on when the tracer has ended. */
export async function holdPacketThread(lab: Lab, pid: number): Promise<Background> {
  const [poll, ptrace] = process.arch === 'x64' ? ['7', 101] : ['73', 117]
  let thread: string | undefined
  await until(() => {
    const threads = fs.readdirSync(`/proc/${pid}/task`)
    // Between two waits it runs.
    thread = threads.find(id => fs.readFileSync(`/proc/${pid}/task/${id}/syscall`, 'utf8').startsWith(`${poll} `))
    return thread !== undefined
  })
  const [seize, interrupt] = [0x4206, 0x4207].map(request => `syscall(${ptrace}, ${request}, ${thread}, 0, 0) == 0`)
  const tracer = lab.start('server', [
    'perl',
    '-e',
    `$| = 1; ${seize} && ${interrupt} or die $!; print "held"; sleep 60`,
  ])
  await tracer.says(/held/)
  return tracer
}

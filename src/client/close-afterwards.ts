/** What is knocked at the end of `pkctl connect`, however it ends. */
import type { Terminal } from '../util/index.js'
import { UserError } from '../util/index.js'
import type { KnockMethod } from './knock-method.js'
import type { Address } from './send.js'

/** What ends a program in a terminal or under ssh, which ends its ProxyCommand by SIGHUP. */
const endingSignals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

/** For sequences with long pauses; others take far less. */
const closingMs = 30_000

/** Hands `work` the opening method, and knocks by `closing` when it has ended, at those addresses that were opened. */
export async function closeAfterwards(
  opening: KnockMethod,
  closing: KnockMethod,
  work: (opening: KnockMethod, signal: AbortSignal) => Promise<void>,
  terminal: Terminal,
): Promise<void> {
  const opened = new Set<Address['family']>()
  const noting = {
    ...opening,
    async send(address: Address, signal?: AbortSignal) {
      const where = await opening.send(address, signal)
      opened.add(address.family)
      return where
    },
  }
  // The terminal may be gone, which must not prevent closing.
  process.stderr.on('error', () => undefined)
  await finished(
    signal => work(noting, signal),
    async () => {
      if (opened.size > 0) await close(closing, opened, terminal)
    },
  )
}

/**
 * Does `last` after `work`, also when a signal comes meanwhile: that aborts the work, and ends the process afterwards as
 * it would have at once. What comes while `last` is done changes nothing.
 */
async function finished(work: (signal: AbortSignal) => Promise<void>, last: () => Promise<void>): Promise<void> {
  const ending = new AbortController()
  let received: NodeJS.Signals | undefined
  let working = true
  const onSignal = (name: NodeJS.Signals) => {
    if (!working) return
    received ??= name
    ending.abort(new Error(`by ${name}`))
  }
  for (const name of endingSignals) process.on(name, onSignal)
  try {
    await work(ending.signal)
  } finally {
    working = false
    await last()
    for (const name of endingSignals) process.off(name, onSignal)
    if (received) process.kill(process.pid, received)
  }
}

/** Says in one line what could not be closed; that is no failure of what has been done. */
async function close(method: KnockMethod, opened: ReadonlySet<Address['family']>, terminal: Terminal): Promise<void> {
  const late = AbortSignal.timeout(closingMs)
  const knocks = [...opened].map(async family => {
    const address = method.addresses.find(each => each.family === family)
    if (!address) throw new UserError(`it has no IPv${family} address`)
    await method.send(address, late)
  })
  const failures = (await Promise.allSettled(knocks)).filter(result => result.status === 'rejected')
  if (failures.length === 0) return
  const why = failures.map(({ reason }) => (reason as Error).message).join('; ')
  terminal.warn(`${method.host} was not closed: ${late.aborted ? `that takes more than ${closingMs / 1000} s` : why}`)
}

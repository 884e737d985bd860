/** How long a user waits: knock and connect with no pause, beside a plain connection to a port that nobody guards. */
import { server4, server6 } from '../support/lab.js'
import { ownSource } from './addresses.js'
import type { Try, TryResult } from './client.js'
import type { Row } from './report.js'
import { latency, median } from './report.js'
import { configOf, plainPort, servicePort, Site } from './site.js'

const count = 200
const pauseMilliseconds = 5
const patience = 2500

export async function latencyPart(): Promise<Row[]> {
  const site = await Site.create()
  try {
    await site.lab.serve(servicePort, plainPort)
    await site.daemon(configOf())
    await warmUp(site)
    const tries = Array.from({ length: count }, (_, i) =>
      ([4, 6] as const).flatMap((version): Try[] => {
        const host = version === 4 ? server4 : server6
        return [
          { host, source: ownSource(version, 2 * i), port: plainPort, knock: false },
          { host, source: ownSource(version, 2 * i + 1), port: servicePort, knock: true },
        ]
      }),
    ).flat()
    const results = await site.tries({ tries, delay: 0, every: pauseMilliseconds, patience })
    const pick = (knock: boolean, host: string) =>
      results.filter((_, i) => tries[i]?.knock === knock && tries[i].host === host)
    return [
      row('IPv4', pick(true, server4), pick(false, server4)),
      row('IPv6', pick(true, server6), pick(false, server6)),
    ]
  } finally {
    await site.lab.remove()
  }
}

/** A link that has just come up takes IPv6 some seconds to get going. */
async function warmUp(site: Site): Promise<void> {
  const tries = [server4, server6].map((host, i) => {
    return { host, source: ownSource(i === 0 ? 4 : 6, 2 * count), port: plainPort, knock: false }
  })
  for (let i = 0; i < 10; i++) {
    const results = await site.tries({ tries, delay: 0, every: 0, patience })
    if (results.every(({ open }) => open)) return
  }
  throw new Error('the server cannot be reached')
}

function row(family: string, knocked: TryResult[], plain: TryResult[]): Row {
  const atOnce = knocked.filter(({ open, repeated }) => open && repeated === 0)
  const times = (results: readonly TryResult[]) => results.map(({ milliseconds }) => milliseconds)
  // The first meets a daemon that has never seen a knock, and code that was never run.
  const [first = NaN, ...rest] = times(knocked)
  const ratio = median(rest) / median(times(plain))
  return {
    what: `knock, then connect with no pause, ${family}`,
    figure: `${atOnce.length} of ${knocked.length} without a repeated SYN; ${latency(rest)}; the first ${first.toFixed(1)} ms`,
    how: `from the knock to the open connection, each from a fresh source; plain connections between them: ${latency(times(plain))} (ratio ${ratio.toFixed(1)})`,
    values: { atOnce: atOnce.length, tries: knocked.length, first, knocked: rest, plain: times(plain) },
  }
}

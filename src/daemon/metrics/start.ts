/** Starts what the configuration asks for: a server of metrics, a file, or both. Knocks do not depend on either. */
import type { Server } from 'node:http'
import type { Config, MetricsPlace } from '../../config/types.js'
import type { Controller, Log } from '../../controller/index.js'
import type { Fleet } from '../../fleet/index.js'
import type { OnNftRequest } from '../../nft/index.js'
import { hostBeforePort } from '../../net/index.js'
import { reasonOf } from '../../util/index.js'
import type { Reloads } from '../reload-configuration.js'
import { contentType, exposition, nftRequest, startMeasuring } from './registry.js'
import { serveMetrics } from './metrics-server.js'
import { SharedText } from './shared-text.js'
import { Textfile } from './textfile.js'

export interface MetricsParts {
  readonly version: string
  readonly controller: Pick<Controller, 'observe'>
  readonly reloads: Reloads
  readonly fleet?: Pick<Fleet, 'status'> | undefined
  readonly log: Log
}

export interface Metrics {
  readonly nftRequest: OnNftRequest
  stop(): void
}

/** Prometheus waits for 10 s. Without an answer by then, the rest is served. */
const observeMilliseconds = 8000
/** An address may be another program's, or come later. */
const againMilliseconds = 10_000

export async function startMetrics({ metrics, socket }: Config, parts: MetricsParts): Promise<Metrics> {
  const { version, controller, reloads, fleet, log } = parts
  const shared = new SharedText(async () => {
    const seen = await controller.observe(AbortSignal.timeout(observeMilliseconds))
    return exposition(version, seen, reloads.refused !== null, fleet?.status())
  })
  const text = () => shared.get()
  const say = onceEach(log)
  startMeasuring()
  const server = metrics.listen && new MetricsServer(metrics.listen, socket.group, text, say)
  await server?.start()
  const file =
    metrics.textfile === null
      ? null
      : new Textfile(metrics.textfile, metrics.intervalSeconds, text, error => {
          say(`metrics are not written to ${metrics.textfile}: ${reasonOf(error)}`)
        })
  file?.start()
  return {
    nftRequest,
    stop() {
      server?.stop()
      file?.stop()
    },
  }
}

/** Logs an error that is another one than the last time. */
function onceEach(log: Log): (message: string) => void {
  const said = new Set<string>()
  return message => {
    if (!said.has(message)) log.error(message)
    said.add(message)
  }
}

/** A server that starts as soon as it can. */
class MetricsServer {
  #server: Server | undefined
  #again: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(
    readonly place: MetricsPlace,
    readonly group: string | null,
    readonly text: () => Promise<string>,
    readonly say: (message: string) => void,
  ) {}

  async start(): Promise<void> {
    try {
      const server = await serveMetrics(this.place, this.group, contentType, this.text)
      if (this.#isStopped) server.close()
      else this.#server = server
    } catch (error) {
      if (this.#isStopped) return
      this.say(`metrics are not served at ${placeText(this.place)}: ${reasonOf(error)}`)
      this.#again = setTimeout(() => void this.start(), againMilliseconds)
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#again)
    this.#server?.close()
    this.#server?.closeAllConnections()
  }
}

function placeText(place: MetricsPlace): string {
  if ('path' in place) return place.path
  return `${hostBeforePort(place.host)}:${place.port}`
}

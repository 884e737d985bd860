/** Serves metrics by HTTP. What clients do wrong costs a bounded number of connections, for a bounded time. */
import * as http from 'node:http'
import type { MetricsPlace } from '../../config/types.js'
import { listenThere } from '../../util/index.js'

/** Prometheus needs one; each is closed after its answer. */
const maxConnections = 32
/** A client that sends or reads slowly is cut off. */
const connectionMilliseconds = 30_000
const headersMilliseconds = 5000
const maxHeaderBytes = 8192

/** Rejects with the system's error, or a SocketError. `text` gives the body of an answer. */
export async function serveMetrics(
  place: MetricsPlace,
  group: string | null,
  contentType: string,
  text: () => Promise<string>,
): Promise<http.Server> {
  const limits = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: headersMilliseconds,
    requestTimeout: headersMilliseconds,
    connectionsCheckingInterval: 1000,
  }
  const server = http.createServer(limits, (request, response) => {
    void answer(request, response, contentType, text)
  })
  server.maxConnections = maxConnections
  server.on('connection', connection => {
    const late = setTimeout(() => connection.destroy(), connectionMilliseconds)
    connection.on('close', () => {
      clearTimeout(late)
    })
  })
  if ('path' in place) await listenThere(server, { path: place.path, group })
  else {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(place.port, place.host, resolve)
    })
  }
  server.removeAllListeners('error')
  // Without free file descriptors, a connection cannot be accepted; the next one may be.
  server.on('error', () => undefined)
  return server
}

async function answer(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  contentType: string,
  text: () => Promise<string>,
): Promise<void> {
  response.shouldKeepAlive = false
  response.on('error', () => undefined)
  const [path] = (request.url ?? '').split('?')
  if (path !== '/metrics') {
    end(response, 404, 'metrics are at /metrics\n')
    return
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    end(response, 405, 'only GET and HEAD\n')
    return
  }
  try {
    const body = await text()
    response.setHeader('Content-Type', contentType)
    end(response, 200, body)
  } catch {
    end(response, 500, 'the metrics cannot be collected\n')
  }
}

function end(response: http.ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body) })
  response.end(body)
}

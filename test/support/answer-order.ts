/**
 * Listens on the queue and on a UDP port in one process, answers packets until one was told of, and prints, for each call, whether
 * the datagram has come to the port by then.
 */
import * as dgram from 'node:dgram'
import * as fs from 'node:fs'
import { PacketQueue } from '../../src/queue/nfqueue.js'

const [number, port] = process.argv.slice(2).map(Number) as [number, number]
const queue = PacketQueue.open({ number, maxLength: 16 })
const socket = dgram.createSocket('udp4')
socket.bind(port, () => {
  const said: string[] = []
  process.stdout.write('listening\n', () => {
    queue.run({
      onBatch: () => said.push(`decided: ${arrived()}`),
      onAnswered: () => {
        said.push(`told: ${arrived()}`)
        fs.writeSync(queue.wakeWriter, 's')
      },
      onWake: () => true,
      onRuleset: () => undefined,
      longestWait: () => -1,
      onTick: () => undefined,
    })
    queue.close()
    socket.close()
    process.stdout.write(`${said.join(', ')}\n`)
  })
})

/** This thread reads nothing from the port, but the kernel says how much waits there. */
function arrived(): string {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = fs.readFileSync('/proc/self/net/udp', 'utf8').split('\n')
  const waiting = lines.map(line => line.trim().split(/\s+/)).find(([, address]) => address?.endsWith(local))?.[4]
  return /:0*$/.test(waiting ?? '') ? 'waits' : 'arrived'
}

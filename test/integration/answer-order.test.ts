/** The answer to the kernel goes out before anything is told of the packet: on a real queue. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, it } from 'node:test'
import { dist, must, until } from '../support/commands.js'
import { Lab, server4 } from '../support/lab.js'

const port = 4000
const queue = 77

let lab: Lab
before(async () => {
  lab = await Lab.create()
  const rule = ['INPUT', '-p', 'udp', '--dport', String(port), '-j', 'NFQUEUE', '--queue-num', String(queue)]
  await must(['ip', 'netns', 'exec', lab.server, 'iptables-nft', '-A', ...rule])
})
after(() => lab.remove())

it('a packet goes on when it is decided, and what is told of it follows', async () => {
  const program = path.join(dist, 'test/support/answer-order.js')
  const listener = lab.start('server', [process.execPath, program, String(queue), String(port)])
  await listener.says(/listening/)
  await lab.peer({ send: { host: server4, port, hex: 'ab' } })
  await until(() => listener.output.includes('told'))
  assert.match(listener.output, /^decided: waits, told: arrived$/m)
})

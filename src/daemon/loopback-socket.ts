/** The UDP socket by which the daemon knocks on itself. It is open for the moment of a test only. */
import { createSocket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import type { OpenLoopback } from '../controller/index.js'

export const openLoopback: OpenLoopback = (address, onMessage) =>
  new Promise((resolve, reject) => {
    // What is sent by an interface that is down is lost without an error.
    if (!isUp()) {
      reject(Object.assign(new Error('no loopback interface'), { code: 'EADDRNOTAVAIL' }))
      return
    }
    const socket = createSocket('udp4', onMessage)
    socket.on('error', reject)
    socket.bind({ address, port: 0, exclusive: true }, () => {
      resolve({
        port: socket.address().port,
        send: (payload, port) =>
          new Promise((sent, failed) => {
            socket.send(payload, port, address, error => {
              if (error) failed(error)
              else sent()
            })
          }),
        close: () => {
          socket.close()
        },
      })
    })
  })

/** Node lists the interfaces that are up. */
const isUp = () =>
  Object.values(networkInterfaces()).some(addresses =>
    addresses?.some(({ internal, family }) => internal && family === 'IPv4'),
  )

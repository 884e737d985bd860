/**
 * Runs on the client, and tries to get in all along: `prober.js FILE TARGETS`, where the targets are JSON. Every 100 ms, or as
 * often as the target says, it sends one SYN to each, from a new port, and does not wait for longer than TCP would take to
 * repeat it. FILE holds what
 * came of it so far, and is written anew every half second.
 */
import { renameSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'

export interface Target {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly from: string
  /** Milliseconds from one SYN to the next. */
  readonly every?: number
}

export interface Seen {
  tried: number
  /** Unix milliseconds at which it was let in; the first thousand. */
  open: number[]
}

const [, , file, targets] = process.argv

if (file !== undefined && targets !== undefined) {
  const seen: Record<string, Seen> = {}
  for (const { name, host, port, from, every = 100 } of JSON.parse(targets) as Target[]) {
    const counted: Seen = (seen[name] = { tried: 0, open: [] })
    setInterval(() => {
      counted.tried++
      const socket = net.connect({ host, port, localAddress: from })
      setTimeout(() => socket.destroy(), 900)
      socket.on('error', () => undefined)
      socket.on('connect', () => {
        if (counted.open.length < 1000) counted.open.push(Date.now())
        socket.destroy()
      })
    }, every)
  }
  setInterval(() => {
    writeFileSync(`${file}.new`, JSON.stringify(seen))
    renameSync(`${file}.new`, file)
  }, 500)
}

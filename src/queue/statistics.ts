import * as fs from 'node:fs'

/** The kernel's own counters of a queue. */
export interface QueueStatistics {
  /** Packets that wait for their verdict. */
  readonly waiting: number
  /** Packets that found the queue full, or nobody's buffer to go to. */
  readonly droppedByKernel: number
  readonly droppedInUserSpace: number
}

const file = '/proc/net/netfilter/nfnetlink_queue'

/** Reads them for one queue number; undefined when nobody reads that queue, or the kernel has none. */
export function queueStatistics(number: number): QueueStatistics | undefined {
  const fields = queueFields(number)
  if (!fields) return undefined
  const [, , waiting, , , droppedByKernel, droppedInUserSpace] = fields.map(Number)
  return {
    waiting: waiting ?? 0,
    droppedByKernel: droppedByKernel ?? 0,
    droppedInUserSpace: droppedInUserSpace ?? 0,
  }
}

/** Who reads the queue, if anybody does: the kernel names the port of the socket, which is mostly the process's id. */
export function queueOwner(number: number): string | undefined {
  const port = queueFields(number)?.[1]
  if (port === undefined) return undefined
  try {
    return `process ${port} (${fs.readFileSync(`/proc/${port}/comm`, 'utf8').trim()})`
  } catch {
    return 'another program'
  }
}

/** The port of the netlink socket that reads the queue; undefined when nobody does. */
export function queueReaderPort(number: number): number | undefined {
  const port = queueFields(number)?.[1]
  return port === undefined ? undefined : Number(port)
}

function queueFields(number: number): string[] | undefined {
  try {
    const lines = fs.readFileSync(file, 'utf8').split('\n')
    return lines.map(line => line.trim().split(/\s+/)).find(([queue]) => queue === String(number))
  } catch {
    return undefined
  }
}

import * as fs from 'node:fs'

/**
 * What the kernel says of a queue. Its counters of dropped packets stay at zero for queues as pkctl binds them: what
 * finds no place goes on instead, and is counted by the ruleset.
 */
export interface QueueStatistics {
  /** Packets that wait for their verdict. */
  readonly waiting: number
  /** Packets that did not fit into the queue or its socket, and were dropped. */
  readonly dropped: number
}

const file = '/proc/net/netfilter/nfnetlink_queue'

/** Reads them for one queue number; undefined when that queue has no reader, or the kernel has none. */
export function queueStatistics(number: number): QueueStatistics | undefined {
  const fields = queueFields(number)
  return fields && { waiting: Number(fields[2] ?? 0), dropped: Number(fields[5] ?? 0) + Number(fields[6] ?? 0) }
}

/** The process that reads the queue, if there is one: the kernel names the port of the socket, which is mostly the process's id. */
export function queueOwner(number: number): string | undefined {
  const port = queueFields(number)?.[1]
  if (port === undefined) return undefined
  try {
    return `process ${port} (${fs.readFileSync(`/proc/${port}/comm`, 'utf8').trim()})`
  } catch {
    return 'another program'
  }
}

/** The port of the netlink socket that reads the queue; undefined when there is none. */
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

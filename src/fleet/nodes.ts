/** The nodes of the fleet, as far as they were heard of: when, how late, with which clock, and whether messages are missing. */
import type { Hello } from './hello.js'
import type { FleetMessage } from './message.js'

export interface NodeState {
  readonly node: string
  /** What it said of itself last. */
  readonly hello: Hello | null
  /** Unix milliseconds of this machine. */
  readonly heardAt: number
  /** How far its clock is ahead of that of this node, in milliseconds; null as long as it is not known. */
  readonly clockDifference: number | null
  /** From when a message was made until it came, with the difference of the clocks taken out; milliseconds. */
  readonly lag: number | null
  /** Messages of it that have not come, of those since its start that were sent after the first one that came. */
  readonly missing: number
  /**
   * Since when it has known of another number of grants than this node, although both share and accept the same services; Unix
   * milliseconds, null where it does not.
   */
  readonly differsSince: number | null
}

interface Known {
  epoch: number
  /** The number of the latest message, and how many have come since the first one. */
  first: number
  latest: number
  received: number
  hello: Hello | null
  heardAt: number
  /** How far its clock is ahead of the engine's, by its last messages. */
  readonly ahead: number[]
  lag: number | null
  differsSince: number | null
}

const servicesOf = ({ share, accept }: Hello) => JSON.stringify([[...share].sort(), [...accept].sort()])

/** Of the clock, the messages that took the least time say most. */
const samples = 12
/** Names are made by holders of the key only, and still there is an end. */
const mostNodes = 5000

export class Nodes {
  readonly #nodes = new Map<string, Known>()

  constructor(
    /** The name of this node. */
    readonly own: string,
  ) {}

  get count(): number {
    return this.#nodes.size
  }

  /** `entryTime`: when the engine took it, by its own clock; null where it is not news. */
  heard(message: FleetMessage, hello: Hello | undefined, entryTime: number, now: number, isLive: boolean): void {
    let known = this.#nodes.get(message.node)
    if (!known || message.epoch > known.epoch) {
      if (!known && this.#nodes.size >= mostNodes) return
      const { epoch, sequence } = message
      const ahead = known?.ahead ?? []
      const none = { hello: null, heardAt: 0, lag: null, differsSince: null }
      known = { epoch, first: sequence, latest: sequence - 1, received: 0, ahead, ...none }
      this.#nodes.set(message.node, known)
    }
    if (message.epoch < known.epoch) return
    if (message.sequence > known.latest) known.received++
    known.latest = Math.max(known.latest, message.sequence)
    if (hello) {
      known.hello = hello
      known.ahead.push(message.made - entryTime)
      if (known.ahead.length > samples) known.ahead.shift()
    }
    known.heardAt = Math.max(known.heardAt, isLive ? now : Math.min(now, message.made))
    if (isLive && message.node !== this.own) {
      const difference = this.#difference(known)
      known.lag = difference === null ? null : Math.max(0, now - (message.made - difference))
    }
  }

  /** Compares what the node has just said with what this node would say. */
  compare(node: string, hello: Hello, own: Hello, now: number): void {
    const known = this.#nodes.get(node)
    if (!known) return
    const isComparable = servicesOf(hello) === servicesOf(own)
    const isSame = Math.abs(hello.grants - own.grants) <= own.grants / 100
    known.differsSince = !isComparable || isSame ? null : (known.differsSince ?? now)
  }

  /** The others, by name. */
  others(): NodeState[] {
    return [...this.#nodes]
      .filter(([node]) => node !== this.own)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([node, known]) => ({
        ...{ node, hello: known.hello, heardAt: known.heardAt, lag: known.lag, differsSince: known.differsSince },
        clockDifference: this.#difference(known),
        missing: Math.max(0, known.latest - known.first + 1 - known.received),
      }))
  }

  /** Both clocks are compared with the engine's, which need not be right. */
  #difference({ ahead }: Known): number | null {
    const own = this.#nodes.get(this.own)?.ahead
    if (!own || own.length === 0 || ahead.length === 0) return null
    return Math.round(Math.max(...ahead) - Math.max(...own))
  }
}

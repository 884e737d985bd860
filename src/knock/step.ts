/** One step of a port sequence: a port and a protocol, as a configuration writes it and as a packet has it. */
import { protocolTcp, protocolUdp } from '../net/index.js'
import { quote } from '../util/index.js'
import { SequenceFormatError } from './secret-errors.js'

export interface Step {
  readonly port: number
  readonly protocol: typeof protocolTcp | typeof protocolUdp
}

export const maxSteps = 32

/** `7000`, `8000:udp`, `9000:tcp`; TCP where nothing is said. */
export function parseStep(text: string): Step {
  const [, digits, protocol = 'tcp'] = /^(\d{1,5})(?::(tcp|udp))?$/i.exec(text.trim()) ?? []
  const port = Number(digits)
  if (digits === undefined || port < 1 || port > 65_535) {
    throw new SequenceFormatError(`expected a knock such as 7000 or 8000:udp, got ${quote(text)}`)
  }
  return { port, protocol: protocol.toLowerCase() === 'udp' ? protocolUdp : protocolTcp }
}

export const formatStep = ({ port, protocol }: Step): string =>
  protocol === protocolUdp ? `${port}:udp` : String(port)

/** The step as one number: equal for equal steps. */
export const stepKey = (protocol: number, port: number): number => protocol * 65_536 + port

/** Whether each step's port is higher than the one before: what a port scan in order goes through. */
export const isAscending = (steps: readonly Step[]): boolean =>
  steps.length > 1 && steps.every((step, i) => i === 0 || step.port > (steps[i - 1] as Step).port)

/** Interfaces that services and credentials name, and that are not there or carry no packets under that name. */
import { unmatchedInterfaces } from '../../config/host-interfaces.js'
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

export function checkInterfaces({ configuration: { config }, kernel, interfaces, machine }: Facts): Finding[] {
  const inKernel = [...(kernel?.services.values() ?? [])].map(({ spec }) => spec)
  const specs = new Map([...inKernel, ...(config?.services ?? [])].map(spec => [spec.name, spec]))
  const named = { services: specs.values(), credentials: config?.credentials ?? [] }
  return unmatchedInterfaces(named, interfaces, machine.release).map(({ message, advice, ...subject }) =>
    finding('interface-unmatched', message, advice, subject),
  )
}

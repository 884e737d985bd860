/** Services in the kernel, compared with the configuration. */
import type { Config } from '../../config/types.js'
import type { ServiceState } from '../../nft/index.js'
import type { Facts, KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { servicePorts } from './descriptions.js'

export function checkServices({ configuration, kernel, daemon }: Facts): Finding[] {
  const { config, file } = configuration
  return [
    ...(config && kernel ? againstKernel(config, kernel, daemon.state === 'answers') : []),
    ...(kernel ? [...kernel.services.values()].flatMap(state => inKernel(state, config, file)) : []),
    ...fullSets(kernel),
  ]
}

function againstKernel(config: Config, { services, differences }: KernelFacts, running: boolean): Finding[] {
  return config.services.flatMap(spec => {
    const subject = { service: spec.name }
    if (!services.has(spec.name)) {
      const why = running
        ? 'although pkctld runs; another program may have flushed the ruleset'
        : 'and pkctld is not running'
      const message = `service ${spec.name} is in the configuration and not in the kernel, ${why}: ${servicePorts(spec)} is open to everyone`
      return [finding('service-not-in-kernel', message, running ? 'pkctl reload' : 'systemctl start pkctld', subject)]
    }
    const different = differences.get(spec.name) ?? []
    if (different.length === 0) return []
    const message = `service ${spec.name} in the kernel is not as the configuration has it (${different.join('; ')})`
    return [finding('service-differs', message, running ? 'pkctl reload' : 'systemctl start pkctld', subject)]
  })
}

function inKernel({ spec, sound }: ServiceState, config: Config | null, file: string): Finding[] {
  const subject = { service: spec.name }
  const findings: Finding[] = []
  const configured = config?.services.some(({ name }) => name === spec.name) ?? false
  if (!sound) {
    findings.push(
      finding(
        'service-damaged',
        `the rules of service ${spec.name} are not as pkctl made them: another program or user changed them, and ${servicePorts(spec)} may be open`,
        configured ? 'pkctl reload, or the same pkctl init again' : 'the same pkctl init again',
        subject,
      ),
    )
  }
  if (config !== null && !configured) {
    findings.push(
      finding(
        'service-not-in-configuration',
        `service ${spec.name} is in the kernel and not in ${file}: after a reboot ${servicePorts(spec)} is open`,
        `put it into the configuration, or run its pkctl init at boot; pkctl remove ${spec.name} removes it`,
        subject,
      ),
    )
  }
  if (spec.closing === 'accept') {
    findings.push(
      finding(
        'watch-only',
        `service ${spec.name} only watches: ${servicePorts(spec)} is open to everyone`,
        "remove 'accept: true' when you have watched it for long enough",
        subject,
      ),
    )
  }
  if (spec.protocol === 'tcp' && !spec.syn && spec.closing !== 'accept') {
    findings.push(
      finding(
        'cuts-connections',
        `service ${spec.name} filters every packet: a connection ends when its grant does, also an ssh session`,
        "'syn: true', or --syn, filters only the start of a connection",
        subject,
      ),
    )
  }
  return findings
}

const nearlyFull = 0.8

function fullSets(kernel: KernelFacts | null): Finding[] {
  const full = (kernel?.sets ?? []).filter(({ used, size }) => used >= size * nearlyFull)
  return full.map(({ name, used, size }) =>
    finding(
      'set-nearly-full',
      `the set ${name} holds ${used} of ${size} entries: when it is full, no further source gets access`,
      'pkctl list shows who is in it; shorter windows make room',
    ),
  )
}

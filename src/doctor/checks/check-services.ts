/** The configuration, and what of it stands in the kernel. */
import type { Config } from '../../config/types.js'
import { prefixContains } from '../../net/prefixes.js'
import type { ServiceState } from '../../nft/reconcile/service-state.js'
import type { Facts, KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { listed, portsOf } from './descriptions.js'

export function checkServices(facts: Facts): Finding[] {
  const { configuration, kernel, daemon } = facts
  const { config, file } = configuration
  return [
    ...judgeConfiguration(facts),
    ...(config && kernel ? againstKernel(config, kernel, daemon.state === 'answers') : []),
    ...(config ? openedByNobody(config, kernel) : []),
    ...(kernel ? [...kernel.services.values()].flatMap(state => inKernel(state, config, file)) : []),
    ...fullSets(kernel),
    ...shutOut(facts),
  ]
}

function judgeConfiguration({ configuration, kernel }: Facts): Finding[] {
  const { file, present, config, problems } = configuration
  const subject = { path: file }
  if (!present) {
    const message = `there is no ${file}: services and grants by command work, knocks do not`
    return [finding('no-configuration', message, 'see templates/pkctl.yaml, if somebody shall knock', subject)]
  }
  const guarded = (config?.services.length ?? 0) + (kernel?.services.size ?? 0)
  return [
    ...problems.map(problem =>
      finding(
        'configuration-invalid',
        problem,
        'pkctl check shows all of it; pkctld does not start with it, nor reload',
        subject,
      ),
    ),
    ...(config && kernel && guarded === 0
      ? [
          finding(
            'nothing-guarded',
            'there is no service, so that no port is closed by pkctl',
            'name one in the configuration, or pkctl init ssh --port 22 --syn',
          ),
        ]
      : []),
  ]
}

function againstKernel(config: Config, { services, differences }: KernelFacts, running: boolean): Finding[] {
  return config.services.flatMap(spec => {
    const subject = { service: spec.name }
    if (!services.has(spec.name)) {
      const why = running
        ? 'although pkctld runs; another program may have flushed the ruleset'
        : 'and pkctld is not running'
      const message = `service ${spec.name} is in the configuration and not in the kernel, ${why}: ${portsOf(spec)} is open to everyone`
      return [finding('service-not-in-kernel', message, running ? 'pkctl reload' : 'systemctl start pkctld', subject)]
    }
    const different = differences.get(spec.name) ?? []
    if (different.length === 0) return []
    const message = `service ${spec.name} in the kernel is not as the configuration has it (${different.join('; ')})`
    return [finding('service-differs', message, running ? 'pkctl reload' : 'systemctl start pkctld', subject)]
  })
}

function openedByNobody(config: Config, kernel: KernelFacts | null): Finding[] {
  const enabled = config.credentials.filter(credential => credential.enabled)
  const known = new Set([...config.services.map(({ name }) => name), ...(kernel?.services.keys() ?? [])])
  const locked = config.services.filter(
    ({ name, allow, closing }) =>
      closing !== 'accept' &&
      allow.length === 0 &&
      (kernel?.services.get(name)?.grants.length ?? 0) === 0 &&
      !enabled.some(({ opens }) => opens.includes(name)),
  )
  return [
    ...locked.map(({ name }) =>
      finding(
        'nobody-opens',
        `service ${name} is opened by no credential and lets no address in: nobody can use it`,
        `name it in a credential's 'opens', or give it 'allow'; for now, pkctl add ADDRESS --service ${name}`,
        { service: name },
      ),
    ),
    // Without the kernel, services that were made by command are not known.
    ...enabled.flatMap(({ name, opens, triggers }) => {
      const missing = opens.filter(service => !known.has(service))
      if (kernel === null || missing.length === 0) return []
      const nothing = missing.length === opens.length && triggers.open === null
      const effect = nothing ? 'a knock with it opens nothing' : 'the rest is opened'
      return [
        finding(
          'opens-nothing',
          `credential ${name} opens ${listed(missing)}, and there is no such service: ${effect}`,
          `add it to the configuration, or pkctl init ${missing[0] ?? ''} --port PORT`,
          { credential: name },
        ),
      ]
    }),
  ]
}

function inKernel({ spec, sound }: ServiceState, config: Config | null, file: string): Finding[] {
  const subject = { service: spec.name }
  const findings: Finding[] = []
  const configured = config?.services.some(({ name }) => name === spec.name) ?? false
  if (!sound) {
    findings.push(
      finding(
        'service-damaged',
        `the rules of service ${spec.name} are not as pkctl made them: somebody edited or deleted some, and ${portsOf(spec)} may be open`,
        configured ? 'pkctl reload, or the same pkctl init again' : 'the same pkctl init again',
        subject,
      ),
    )
  }
  if (config !== null && !configured) {
    findings.push(
      finding(
        'service-not-in-configuration',
        `service ${spec.name} is in the kernel and not in ${file}: after a reboot ${portsOf(spec)} is open`,
        `put it into the configuration, or run its pkctl init at boot; pkctl remove ${spec.name} takes it away`,
        subject,
      ),
    )
  }
  if (spec.closing === 'accept') {
    findings.push(
      finding(
        'watch-only',
        `service ${spec.name} only watches: ${portsOf(spec)} is open to everyone`,
        "take 'accept: true' away when it has been watched for long enough",
        subject,
      ),
    )
  }
  if (spec.protocol === 'tcp' && !spec.syn && spec.closing !== 'accept') {
    findings.push(
      finding(
        'cuts-connections',
        `service ${spec.name} judges every packet: a connection ends when its grant does, also an ssh session`,
        "'syn: true', or --syn, judges only the start of a connection",
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
      `the set ${name} holds ${used} of ${size} entries: when it is full, nobody more is let in`,
      'pkctl list shows who is in it; shorter windows make room',
    ),
  )
}

function shutOut({ session, kernel, configuration: { config } }: Facts): Finding[] {
  if (session === null) return []
  const { address, port } = session
  const guards = (spec: ServiceState['spec']) =>
    spec.closing !== 'accept' &&
    (spec.protocol === 'tcp' || spec.protocol === 'any') &&
    spec.ports.some(({ first, last }) => first <= port && port <= last)
  const specs = [...(config?.services ?? []), ...[...(kernel?.services.values() ?? [])].map(({ spec }) => spec)]
  const spec = specs.find(guards)
  if (!spec) return []
  const grants = kernel?.services.get(spec.name)?.grants ?? []
  const admitted = [...spec.allow, ...grants.map(({ source }) => source)]
  if (admitted.some(prefix => prefixContains(prefix, address))) return []
  return [
    finding(
      'session-shut-out',
      `you are here by ssh from ${address}, which service ${spec.name} would not let in again${spec.syn ? '' : ', and every packet is judged: this session may end'}`,
      `keep this session open until a knock has worked; pkctl add ${address} --service ${spec.name} --for 1h lets you in`,
      { service: spec.name },
    ),
  ]
}

/** The configuration by itself, and credentials and services that do not fit together. */
import type { Config } from '../../config/types.js'
import type { Facts, KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { listed } from './descriptions.js'

export function checkConfiguration(facts: Facts): Finding[] {
  const { config } = facts.configuration
  return [...validity(facts), ...(config ? unopened(config, facts.kernel) : [])]
}

function validity({ configuration, kernel }: Facts): Finding[] {
  const { file, present, config, problems } = configuration
  const subject = { path: file }
  if (!present) {
    const message = `there is no ${file}: services and grants by command work, knocks do not`
    return [finding('no-configuration', message, 'see templates/pkctl.yaml, if clients are to knock', subject)]
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

function unopened(config: Config, kernel: KernelFacts | null): Finding[] {
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
        `service ${name} is opened by no credential and its allowlist is empty: no source can use it`,
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

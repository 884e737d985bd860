/** The command of a trigger, ready to run: placeholders filled in, and the same values in its environment. */
import type { TriggerCommand, Credential, Trigger } from '../../config/types.js'
import { familyOf, formatPorts } from '../../net/index.js'
import type { ServiceSpec } from '../../nft/index.js'

type TriggerEvent = 'open' | 'close' | 'expiry'

export interface CommandRun {
  /** For the log: `on-open of guest`. */
  readonly name: string
  readonly argv: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly user: string | null
  readonly group: string | null
  /** Seconds. */
  readonly timeout: number
}

/** Undefined where the credential has no command for the event, or none for addresses of this family. */
export function triggerCommand(
  event: TriggerEvent,
  credential: Credential,
  allServices: ReadonlyMap<string, ServiceSpec>,
  address: string,
  /** Unix seconds; null: never. */
  expires: number | null,
): CommandRun | undefined {
  const trigger = credential.triggers[event]
  const isV6 = familyOf(address) === 6
  const command = trigger && (isV6 ? trigger.command6 : trigger.command)
  if (!command) return undefined
  const names = [...credential.opens, ...credential.closes]
  const services = names.flatMap(service => allServices.get(service) ?? [])
  return commandRun(event, command, trigger, {
    ip: address,
    family: isV6 ? '6' : '4',
    port: formatPorts(services.flatMap(({ ports }) => ports)),
    service: names.join(','),
    credential: credential.name,
    expires: expires === null ? 'never' : String(expires),
  })
}

type Replacements = Readonly<Record<'ip' | 'family' | 'port' | 'service' | 'credential' | 'expires', string>>

function commandRun(
  event: TriggerEvent,
  command: TriggerCommand,
  { user, group, timeout }: Trigger,
  values: Replacements,
): CommandRun {
  const fill = (text: string) =>
    text.replace(/\{(ip|family|port|service|credential|expires)\}|%IP%/g, (_, name: keyof Replacements | undefined) => {
      return values[name ?? 'ip']
    })
  const argv = 'argv' in command ? command.argv.map(fill) : ['/bin/sh', '-c', fill(command.shell)]
  const environment = Object.fromEntries(
    Object.entries({ event, ...values }).map(([name, value]) => [`PKCTL_${name.toUpperCase()}`, value]),
  )
  return { name: `on-${event} of ${values.credential}`, argv, environment, user, group, timeout }
}

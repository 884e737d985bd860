/** What `pkctl setup` is about to do: a file of the configuration, the keys of a user, and a start of the daemon. */
import * as fs from 'node:fs'
import path from 'node:path'
import { isMapping, readMerged } from '../../config/index.js'
import { parsePort } from '../../net/index.js'
import { durationText, timeText, UserError } from '../../util/index.js'
import type { Knocker } from './user-keys.js'

export interface Answers {
  /** The name of the service, and its TCP port. */
  readonly service: string
  readonly port: number
  readonly knocker: Knocker
  /** Whether the address of the ssh session is granted access, and for how many seconds; undefined: without a limit. */
  readonly allowMe: boolean
  readonly allowMeFor: number | undefined
  readonly start: boolean
  /** This server, as clients reach it. */
  readonly host: string
  /** Seconds; undefined for a change that needs no confirmation. */
  readonly confirmWithin: number | undefined
}

export interface SetupPlan extends Answers {
  /** The configuration as a whole, and its new file: the same where there was none. */
  readonly config: string
  readonly file: string
  readonly text: string
  readonly credential: string
  /** The authorized_keys file of the credential. */
  readonly keys: string
}

/** Throws a UserError where the configuration has what would be made, and a ConfigError where it cannot be read. */
export function planFor(answers: Answers, config: string): SetupPlan {
  const isFirst = !fs.existsSync(config)
  const { service, port } = answers
  const credential = `${service}-users`
  const file = isFirst ? config : path.join(path.dirname(config), 'conf.d', `${service}.yaml`)
  if (!isFirst) refuseSecond(answers, { config, file, credential })
  const shown = isFirst ? `${service}.authorized_keys` : `../${service}.authorized_keys`
  const text = `# Written by pkctl setup. docs/configuration.md describes all options.
services:
  ${service}:
    port: ${port}
    window: 60 # seconds in which the user can connect after a knock; open connections go on

credentials:
  ${credential}:
    type: ssh # the user's SSH key signs the knock
    authorized-keys: ${shown} # pkctl user add, list and revoke change this file
    opens: [${service}]
`
  const keys = path.join(path.dirname(config), `${service}.authorized_keys`)
  return { ...answers, config, file, text, credential, keys }
}

function refuseSecond(
  { service, port }: Answers,
  { config, file, credential }: Omit<SetupPlan, keyof Answers | 'text' | 'keys'>,
): void {
  const { value } = readMerged(config)
  const has = (section: string, name: string) => isMapping(value[section]) && name in value[section]
  const hint = `pkctl user add adds users, and pkctl invite prints the line for a client`
  if (fs.existsSync(file)) throw new UserError(`${file} is there already`, hint)
  if (has('services', service)) throw new UserError(`the configuration has a service ${service} already`, hint)
  if (has('credentials', credential))
    throw new UserError(`the configuration has a credential ${credential} already`, hint)
  const same = isMapping(value['services'])
    ? Object.entries(value['services']).find(([, one]) => isOn(one, port))
    : undefined
  if (same) throw new UserError(`service ${same[0]} of the configuration has port ${port} already`, hint)
}

/** The check of the configuration finds ranges that overlap; this one has the better hint for the plain case. */
const isOn = (service: unknown, port: number) =>
  isMapping(service) && [service['port']].flat().some(one => String(one) === String(port))

/** The plan for people, before it is carried out. */
export function planLines(plan: SetupPlan): string[] {
  const { service, port, knocker, allowMe, allowMeFor, start, confirmWithin, file } = plan
  return [
    `write ${file}:`,
    ...plan.text
      .trimEnd()
      .split('\n')
      .map(line => `    ${line}`.trimEnd()),
    `let ${knocker.name} knock, with ${knocker.described}`,
    ...knocker.leftOut.map(line => `leave out ${line}`),
    `close port ${port} (${service}) to everyone who has not knocked`,
    ...(allowMe ? [`grant the address of your ssh session access, ${timeText(allowMeFor ?? null)}`] : []),
    start ? 'start pkctld now, and at each boot' : 'do not start pkctld: you start it yourself',
    confirmWithin === undefined
      ? 'keep the change without a confirmation'
      : `undo all that unless you run pkctl confirm within ${durationText(confirmWithin)}`,
  ]
}

/** A port and, before it, the name of a service: `22`, `ssh=22`. */
export function parseServicePort(text: string): { service: string | undefined; port: number } {
  const [, service, port] = /^(?:([^=]*)=)?(.*)$/.exec(text.trim()) ?? []
  return { service, port: parsePort(port ?? '') }
}

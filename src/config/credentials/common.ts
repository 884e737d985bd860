/** What all types of credentials have in common: options, and the parts that a type consists of. */
import type * as z from 'zod'
import { withoutCovered } from '../../net/index.js'
import type { ConfigPath } from '../config-path.js'
import type { Context } from '../context.js'
import { duration, flag, interfaceNames, listOf, name, parsed, text } from '../schema-parts.js'
import type { SecretFile } from '../secrets.js'
import { parseWindow } from '../service-rules.js'
import { triggerOf, triggerSchema } from '../trigger-schema.js'
import { parseRate } from '../values.js'
import type { AnyCredential, Triggers } from './any-credential.js'

/** What every credential has. */
export const commonOptions = {
  opens: listOf('names of services', name('the name of a service'))
    .optional()
    .describe('The services that a knock opens. Optional if the credential has a trigger.'),
  closes: listOf('names of services', name('the name of a service'))
    .optional()
    .describe('The services that a knock closes again for its source, instead of opening any.'),
  window: duration(readWindow)
    .optional()
    .describe("How long a grant lasts; seconds, or 10m, 8h, 2d, or unlimited. Default: the service's own window"),
  interface: interfaceNames().describe(
    'The interfaces on which a knock must arrive, one or a list, such as eth0 or ppp*. [] for all. Default: []',
  ),
  'on-open': triggerSchema.optional().describe('A command to run after a valid knock.'),
  'on-close': triggerSchema.optional().describe('A command to run after a knock that revokes a grant.'),
  'on-expiry': triggerSchema.optional().describe('A command to run when the window has passed.'),
  enabled: flag().prefault(true).describe('Whether knocks with this credential count. Default: true'),
}

function readWindow(value: string | number): number {
  return value === 'unlimited' ? Infinity : parseWindow(value)
}

export const rate = parsed(text('a rate such as 5/10s or 20/minute, or none'), parseRate)

/** Files with secrets that were read, by the option that may hold the secret itself. */
export type Secrets = Readonly<Record<string, SecretFile>>

/** What a credential is made of. */
interface Parts<D> {
  readonly common: AnyCredential
  /** The credential's own options. */
  readonly data: D
  readonly secrets: Secrets
  /** Where it is in the configuration. */
  readonly at: ConfigPath
  readonly context: Context
}

/** A type of credential: its options, and how it is made of them. */
export interface CredentialKind<S extends z.ZodType, C> {
  readonly schema: S
  /**
   * Options that hold a secret, each with one for its file, and whether it must be given. Their values are taken as they
   * are written, and are never part of a message.
   */
  readonly secrets: Readonly<Record<string, 'needed' | 'optional'>>
  /** More options whose values are taken as they are written: text, also where it looks like a number. */
  readonly verbatim?: readonly string[]
  /** In words, what no two credentials may share; for those that are knocked by one packet. */
  readonly identifiedBy?: string
  /** Undefined after a problem, which is in the findings then. */
  load(parts: Parts<z.output<S>>): C | undefined
}

export const credentialKind = <S extends z.ZodType, C>(kind: CredentialKind<S, C>): CredentialKind<S, C> => kind

type CommonData = z.output<z.ZodObject<typeof commonOptions & { rate: typeof rate }>>

export const commonOf = (name: string, data: CommonData): AnyCredential => ({
  name,
  opens: data.opens ?? [],
  closes: data.closes ?? [],
  window: data.window ?? null,
  interfaces: withoutCovered(data.interface),
  rate: data.rate,
  triggers: triggersOf(data),
  enabled: data.enabled,
})

export const triggerOptions = { open: 'on-open', close: 'on-close', expiry: 'on-expiry' } as const

function triggersOf(data: CommonData): Triggers {
  const read = (option: (typeof triggerOptions)[keyof typeof triggerOptions]) => {
    const given = data[option]
    return given ? triggerOf(given) : null
  }
  return { open: read('on-open'), close: read('on-close'), expiry: read('on-expiry') }
}

/** The types of credentials of credential-types.ts with their options. */
import * as z from 'zod'
import { expectedSecret } from '../schema-parts.js'
import type { CredentialKind } from './common.js'
import { loadedTypes } from './loaded-types.js'

type Kind = (typeof loadedTypes)[number]['kind']
type Schema = Kind['schema']

/** What a knock is checked against, by `type`. */
export type Credential = NonNullable<ReturnType<Kind['load']>>

const [first, ...others] = loadedTypes.map(({ kind }): Schema => kind.schema)

export const credentialSchema = z.discriminatedUnion('type', [first as Schema, ...others], {
  error: expectedSecret('a mapping'),
})
export type CredentialData = z.output<typeof credentialSchema>

/** The type of that name; undefined when there is none. */
export const credentialKindOf = (type: unknown) =>
  // What the schema of one type has read is given to that one alone.
  loadedTypes.find(one => one.type === type)?.kind as CredentialKind<z.ZodType<CredentialData>, Credential> | undefined

/** The options that hold a secret, in any type of credential. */
export const secretOptions: readonly string[] = [
  ...new Set(loadedTypes.flatMap(({ kind }) => Object.keys(kind.secrets))),
]

/** The options whose values are text as it is written, in any type of credential. */
export const verbatimOptions: ReadonlySet<string> = new Set([
  ...secretOptions,
  ...loadedTypes.flatMap(({ kind }) => ('verbatim' in kind ? (kind.verbatim ?? []) : [])),
])

/** The options that a credential of any type may have, for the near miss of a misspelt one. */
export const credentialKeys: object = Object.fromEntries(
  loadedTypes.flatMap(({ kind }) => Object.entries(kind.schema.shape)),
)

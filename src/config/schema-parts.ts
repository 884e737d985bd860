/** What the schemas of the configuration are made of: kinds of values, and how a wrong one is put into words. */
import * as z from 'zod'
import { SecretFormatError } from '../knock/index.js'
import { sortOfValue, quote, shown, ValueError } from '../util/index.js'
import { parseInterface } from '../net/index.js'
import { namePattern, nameRule, parseAbsolutePath } from './values.js'

type IssueMessage = (issue: { readonly input?: unknown }) => string

export const expected =
  (what: string): IssueMessage =>
  issue =>
    `expected ${what}, got ${shown(issue.input)}`

/** For values that may be secret. */
export const expectedSecret =
  (what: string): IssueMessage =>
  issue =>
    `expected ${what}, got ${sortOfValue(issue.input)}`

/** `schema`, and its value then read by one of the functions that the command line uses, too. */
export function parsed<I, T>(schema: z.ZodType<I, I>, parse: (value: I) => T) {
  return schema.transform((value, context): T => {
    try {
      return parse(value)
    } catch (cause) {
      if (!(cause instanceof ValueError || cause instanceof SecretFormatError)) throw cause
      const hint = cause instanceof ValueError ? cause.hint : undefined
      context.addIssue({ code: 'custom', message: cause.message, ...(hint === undefined ? {} : { params: { hint } }) })
      return z.NEVER
    }
  })
}

export const text = (what: string) => z.string({ error: expected(what) })
export const textOrNumber = (what: string) => z.union([z.number(), z.string()], { error: expected(what) })
export const flag = () => z.boolean({ error: expected('true or false') })
export const listOf = <S extends z.ZodType>(what: string, item: S) =>
  z.array(item, { error: expected(`a list of ${what}`) })

export function whole(what: string, min: number, max: number) {
  const error = expected(`${what} from ${min} to ${max}`)
  return z.int({ error }).min(min, { error }).max(max, { error })
}

export function oneOf<const T extends readonly [string, ...string[]]>(values: T) {
  const names = [values.slice(0, -1).join(', '), values.at(-1)].filter(name => name !== '').join(' or ')
  return z.enum(values, { error: expected(names) })
}

// The wording for unknown keys needs a schema's neighbours and is made in issues.ts.
export const mapping = <S extends z.core.$ZodShape>(shape: S) =>
  z.strictObject(shape, {
    error: issue => (issue.code === 'unrecognized_keys' ? undefined : expected('a mapping')(issue)),
  })

export const name = (what: string) => parsed(text(what), checkName)
function checkName(value: string): string {
  if (!namePattern.test(value)) throw new ValueError(`${quote(value)} is not a name`, nameRule)
  return value
}

const interfaceName = parsed(text('the name of an interface'), parseInterface)

/** One name or a list. */
export const interfaceNames = () =>
  z
    .union([interfaceName.transform(one => [one]), listOf('names of interfaces', interfaceName)], {
      error: expected('the name of an interface, or a list of names'),
    })
    .prefault([])

export const absolutePath = () => parsed(text('an absolute path'), parseAbsolutePath)

export const duration = (parse: (value: string | number) => number) =>
  parsed(textOrNumber('seconds, or a duration such as 30s, 10m, 8h, 1h30m or 2d'), parse)

/** What zod found, in the words of an administrator. */
import type * as z from 'zod'
import { sortOfValue, nearest, oneLine, quote } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import { formatPath, isMapping, valueAt } from './config-path.js'
import { credentialTypes } from './credentials/credential-types.js'
import type { Findings } from './config-error.js'
import type { Merged } from './merge-sources.js'
import { configurationKeys } from './schema.js'

type Issue = z.core.$ZodIssue

/** Reports `issues`, whose paths start at `base`. */
export function reportIssues(issues: readonly Issue[], base: ConfigPath, merged: Merged, findings: Findings): void {
  for (const issue of issues) reportIssue(issue, [...base, ...(issue.path as (string | number)[])], merged, findings)
}

function reportIssue(issue: Issue, at: ConfigPath, merged: Merged, findings: Findings): void {
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) reportUnknownKey(key, at, merged, findings)
    return
  }
  const parent = valueAt(merged.value, at.slice(0, -1))
  const key = at.at(-1)
  const isMissing = isMapping(parent) && typeof key === 'string' && !(key in parent)
  if (issue.code === 'invalid_union') {
    if (issue.discriminator === 'type') {
      reportType(isMissing, at, merged, findings)
      return
    }
    const branch = issue.errors.find(errors => errors.some(isCloser))
    if (branch) {
      reportIssues(branch.filter(isCloser), at, merged, findings)
      return
    }
  }
  if (isMissing) {
    findings.problem(merged.positionOf(at), `${formatPath(at.slice(0, -1))}'${key}' is missing`)
    return
  }
  const hint: unknown = issue.code === 'custom' ? issue.params?.['hint'] : undefined
  findings.problem(
    merged.positionOf(at),
    `${formatPath(at)}${oneLine(issue.message)}`,
    typeof hint === 'string' ? hint : undefined,
  )
}

/** Whether a branch of a union failed at something inside it, so that this branch must have been meant. */
const isCloser = (issue: Issue) =>
  issue.path.length > 0 || (issue.code !== 'invalid_type' && issue.code !== 'invalid_union')

function reportUnknownKey(key: string, at: ConfigPath, merged: Merged, findings: Findings): void {
  const isNamed = at[0] === 'services' || at[0] === 'credentials'
  const path = at.map((part, i) => (isNamed && i === 1 ? '*' : part)).join('.')
  const meant = nearest(key, configurationKeys(path))
  // The types of credentials are looked up together.
  const hint = meant === key ? 'credentials of other types have it' : `did you mean '${meant}'?`
  findings.problem(
    merged.positionOfKey([...at, key]),
    `${formatPath(at)}unknown key ${quote(key)}`,
    meant === undefined ? undefined : hint,
  )
}

function reportType(isMissing: boolean, at: ConfigPath, merged: Merged, findings: Findings): void {
  const known = `known: ${credentialTypes.map(({ type }) => type).join(', ')}`
  if (isMissing) {
    findings.problem(merged.positionOf(at), `${formatPath(at.slice(0, -1))}'type' is missing; ${known}`)
    return
  }
  const given = valueAt(merged.value, at)
  const shownType = typeof given === 'string' ? quote(given) : sortOfValue(given)
  findings.problem(merged.positionOf(at), `${formatPath(at)}unknown credential type ${shownType}; ${known}`)
}

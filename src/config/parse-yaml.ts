/** One file of the configuration as YAML: within bounds that the parser survives, and with secrets as they are written. */
import { notifySchema, secretNotifyOption } from './notify-schema.js'
import type { Document, Scalar } from 'yaml'
import { isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml'
import { sortOfValue } from '../util/index.js'
import { isMapping } from './config-path.js'
import { credentialKeys, secretOptions, verbatimOptions } from './credentials/credential-schemas.js'
import { cutSecrets, quoteWhole, verbatimValues } from './cut-secrets.js'
import type { Findings, SourcePosition } from './config-error.js'
import type { SourceFile } from './positions.js'
import { givenTwice, positionAt, startOf } from './positions.js'
import { secretPlaces } from './secret-places.js'
import { yamlProblems } from './yaml-problems.js'

export function parseYaml(file: string, text: string, findings: Findings): SourceFile | undefined {
  const lines = new LineCounter()
  const options = Object.keys({ ...credentialKeys, ...notifySchema.shape })
  findings.keepSecret(file, secretPlaces(text, [...secretOptions, secretNotifyOption], options))
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
      stringKeys: true,
    })
    keepSecretsAsWritten(document)
    if (!isSound(document, file, lines, findings)) return undefined
    for (const { offset, message, isEmpty } of cutSecrets(document, text, verbatimScalars(document))) {
      if (isEmpty) findings.problem(positionAt(file, lines, offset), message, quoteWhole)
      else findings.warn(positionAt(file, lines, offset), `${message}; ${quoteWhole}`)
    }
    const value: unknown = document.toJS() ?? {}
    if (isMapping(value)) return { file, document, lines, value }
    findings.problem(startOf(file), `expected a mapping of options, got ${sortOfValue(value)}`)
  } catch {
    // The parser counts aliases while it follows them, and throws when there are too many.
    findings.problem(startOf(file), 'is not YAML that can be used: its aliases lead to too many values')
  }
  return undefined
}

/** Reports what is wrong with the YAML itself; whether its values are worth a look. */
function isSound(document: Document.Parsed, file: string, lines: LineCounter, findings: Findings): boolean {
  const positionOf = (offset: number) => positionAt(file, lines, offset)
  const problems = yamlProblems(document, offset => findings.isSecretAt(positionOf(offset)))
  for (const { offset, message, hint } of problems) findings.problem(positionOf(offset), message, hint)
  const before = findings.problems.length
  visit(document, {
    Pair: (_, { key }) => {
      if (isScalar(key) && key.value === '__proto__') {
        findings.problem(positionOf(key.range?.[0] ?? 0), "'__proto__' cannot be a key")
      }
    },
  })
  const sound = problems.length === 0 && findings.problems.length === before
  reportDuplicates(document, positionOf, findings)
  return sound
}

function reportDuplicates(
  document: Document.Parsed,
  positionOf: (offset: number) => SourcePosition,
  findings: Findings,
): void {
  if (!document.errors.some(({ code }) => code === 'DUPLICATE_KEY')) return
  visit(document, {
    Map: (_, { items }) => {
      const first = new Map<string, SourcePosition>()
      for (const { key } of items) {
        if (!isScalar(key)) continue
        const at = positionOf(key.range?.[0] ?? 0)
        const earlier = first.get(String(key.value))
        if (earlier) findings.problem(at, givenTwice(String(key.value), earlier))
        else first.set(String(key.value), at)
      }
    },
  })
}

/** `key: 0x31` and `tag: 1234` are numbers to YAML. They are meant as written, and a number would lose digits. */
function keepSecretsAsWritten(document: Document.Parsed): void {
  for (const value of verbatimScalars(document)) {
    if (value.value !== null && value.tag === undefined && value.source !== undefined) value.value = value.source
  }
}

/** The values of options that are text as it is written. */
function verbatimScalars(document: Document.Parsed): Scalar[] {
  const credentials = isMap(document.contents) ? document.contents.get('credentials', true) : undefined
  if (!isMap(credentials)) return []
  return credentials.items.flatMap(({ value }) => verbatimValues(value, verbatimOptions))
}

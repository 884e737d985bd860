/** What is wrong with a YAML document itself, in words that quote nothing of it: it can be a secret without quotes. */
import type { Document, YAMLError } from 'yaml'
import { isAlias, visit } from 'yaml'
import { oneLine } from '../util/index.js'

interface YamlProblem {
  /** In characters from the start of the text. */
  readonly offset: number
  readonly message: string
  readonly hint?: string
}

/** The library's own messages for these say what is expected, and are the same for every text. */
const constant = new Set<YAMLError['code']>([
  'ALIAS_PROPS',
  'BAD_INDENT',
  'BAD_PROP_ORDER',
  'BLOCK_AS_IMPLICIT_KEY',
  'BLOCK_IN_FLOW',
  'KEY_OVER_1024_CHARS',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
  'MULTIPLE_ANCHORS',
  'MULTIPLE_TAGS',
  'NON_STRING_KEY',
  'TAB_AS_INDENT',
])

const words: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  BAD_ALIAS: 'a name of an anchor or alias is empty, or has a character that it cannot have',
  BAD_COLLECTION_TYPE: 'a tag does not fit the value after it',
  BAD_DIRECTIVE: 'a line that starts with % is no directive of YAML',
  BAD_DQ_ESCAPE: 'text between double quotes has an escape that YAML does not know',
  BAD_SCALAR_START: 'a value starts with a character that has a meaning in YAML',
  MULTIPLE_DOCS: 'expected one YAML document, got several',
  TAG_RESOLVE_FAILED: 'a value starts with !, and is no tag of YAML',
  UNEXPECTED_TOKEN: 'something more stands where a value has ended, or where a value or key is expected',
}

const quoteIt = 'put the secret between single quotes, or into a file of its own'

/** Problems in the order in which they are found. Of keys that are given twice, nothing is said. */
export function yamlProblems(document: Document.Parsed, isSecretAt: (offset: number) => boolean): YamlProblem[] {
  const problems: YamlProblem[] = []
  const add = (offset: number, message: string) =>
    problems.push({ offset, message, ...(isSecretAt(offset) ? { hint: quoteIt } : {}) })
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    if (code === 'DUPLICATE_KEY') continue
    add(pos[0], constant.has(code) ? oneLine(message) : (words[code] ?? 'this is not YAML'))
  }
  const anchors = new Map<string, number>()
  visit(document, {
    Node: (_, node) => {
      const offset = node.range?.[0] ?? 0
      if (isAlias(node)) {
        const anchor = anchors.get(node.source)
        if (anchor === undefined) add(offset, 'a value starts with *, and there is no anchor of this name before it')
        else if (isSecretAt(anchor) && !isSecretAt(offset)) add(offset, 'a secret cannot be the value of this')
      } else if (node.anchor !== undefined) anchors.set(node.anchor, offset)
    },
  })
  return problems
}

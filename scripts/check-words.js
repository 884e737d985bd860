// Finds the words of scripts/words.txt in documents and in messages: run by `npm run lint`.
//
//   check-words.js [--documents] [FILE…]
//
// Documents are Markdown files without their code, the comments of files in templates/, and the Ansible files. Messages are
// the string literals of src/ that have more than one word. --documents leaves them out.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** Reads words.txt: for each line, an expression that finds its words, and what to write instead. */
export function readWords(text) {
  const lines = text.split('\n').filter(line => line.trim() !== '' && !line.startsWith('#'))
  return lines.map(line => {
    const [words, instead] = line.split(' -> ')
    if (!instead) throw new Error(`words.txt: not WORDS -> INSTEAD: ${line}`)
    const escaped = words.split('|').map(word => word.replace(/[.*+?^${}()[\]\\]/g, '\\$&').replaceAll(' ', '\\s+'))
    return { pattern: new RegExp(`(?<![\\w-])(?:${escaped.join('|')})(?![\\w-])`, 'gi'), instead }
  })
}

const blank = text => text.replace(/[^\n]/g, ' ')

/** A document without fenced blocks, code between backticks, targets of links and HTML tags; positions stay. */
export const proseOf = markdown =>
  markdown
    .replace(/^( *)```.*?^\1```$/gms, blank)
    // COMPATIBILITY.md names tests: `FILE`: NAME.
    .replace(/`[\w/.-]+\.test\.ts`: [^|\n]*/g, blank)
    .replace(/`[^`]*`/g, blank)
    .replace(/\]\([^)]*\)/g, blank)
    .replace(/<[^>]*>/g, blank)

/** The comments of a YAML, shell or systemd file; positions stay. */
export const commentsOf = text =>
  text
    .split('\n')
    .map(line => line.replace(/^(.*?)((?:^|\s)#.*)?$/, (_, code, comment = '') => blank(code) + comment))
    .join('\n')

/** The text in string and template literals, with everything else blank; positions stay. */
export async function messagesOf(source) {
  const { default: ts } = await import('typescript')
  const file = ts.createSourceFile('source.ts', source, ts.ScriptTarget.Latest, true)
  const kept = []
  const visit = node => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isLiteralTypeNode(node)) return
    // Comments of rules are part of the table: see src/nft/table/service-chain.ts.
    if (ts.isPropertyAssignment(node) && node.name.getText(file) === 'comment') return
    // One word is a name, a key or a value, not a sentence.
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)
    if (isText && /\s/.test(node.getText(file))) {
      for (const part of ts.isTemplateExpression(node)
        ? [node.head, ...node.templateSpans.map(s => s.literal)]
        : [node])
        kept.push([part.getStart(file), part.getEnd()])
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  let result = ''
  for (const [start, end] of kept.sort(([a], [b]) => a - b)) {
    result += blank(source.slice(result.length, start))
    result += source.slice(start, end)
  }
  return result + blank(source.slice(result.length))
}

/** The words found in a text: line, column, word, and what to write instead. */
export function findWords(text, words) {
  const found = []
  for (const { pattern, instead } of words) {
    for (const match of text.matchAll(pattern)) {
      const before = text.slice(0, match.index).split('\n')
      const word = match[0].replace(/\s+/g, ' ')
      found.push({ line: before.length, column: before.at(-1).length + 1, word, instead })
    }
  }
  return found.sort((a, b) => a.line - b.line || a.column - b.column)
}

const filesIn = (folder, deep = true) =>
  readdirSync(folder, { recursive: deep, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => path.join(entry.parentPath ?? entry.path, entry.name))

async function textOf(file) {
  const text = readFileSync(file, 'utf8')
  if (file.endsWith('.md')) return proseOf(text)
  // Names of tasks and descriptions are sentences as well.
  if (/ansible.*\.yml$/.test(file)) return text
  return file.endsWith('.ts') ? messagesOf(text) : commentsOf(text)
}

async function main(args) {
  const words = readWords(readFileSync(path.join(import.meta.dirname, 'words.txt'), 'utf8'))
  const named = args.filter(arg => !arg.startsWith('--'))
  const documents = [...filesIn('.', false), ...filesIn('docs'), ...filesIn('templates')].filter(
    file => file.endsWith('.md') || (file.startsWith('templates') && !file.endsWith('.json')),
  )
  const messages = args.includes('--documents') ? [] : filesIn('src').filter(file => file.endsWith('.ts'))
  let count = 0
  for (const file of named.length > 0 ? named : [...documents, ...messages]) {
    for (const { line, column, word, instead } of findWords(await textOf(file), words)) {
      console.error(`${file}:${line}:${column}: "${word}": write ${instead}`)
      count++
    }
  }
  if (count > 0) process.exitCode = 1
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))

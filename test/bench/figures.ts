/** Puts what was measured into the documents: the table between two marks of docs/performance.md, and docs/figures. */
import * as fs from 'node:fs'
import path from 'node:path'
import { must, root } from '../support/commands.js'
import { chart } from './chart.js'
import type { Row } from './report.js'
import { markdownTable } from './report.js'

/** What figures are worth nothing without. */
export interface Origin {
  /** ISO 8601, UTC. */
  readonly date: string
  readonly version: string
  /** `+` behind it: with changes that are in no commit. */
  readonly commit: string
  /** Processors, load, kernel and Node.js, for people. */
  readonly machine: string
}

export const originText = ({ date, version, commit, machine }: Origin): string =>
  `pkctl ${version} (${commit}), ${date.slice(0, 10)}: ${machine}`

/** The document with `content` in place of what stands between the marks of the part. Throws where it has none. */
export function withFigures(document: string, part: string, content: string): string {
  const [start, end] = [`<!-- figures of ${part} -->`, `<!-- end of figures of ${part} -->`]
  const [from, to] = [document.indexOf(start), document.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the document has no marks for the figures of ${part}`)
  return `${document.slice(0, from + start.length)}\n\n${content}\n\n${document.slice(to)}`
}

/** Writes the figures of one part where the documents have them. */
export async function writeIntoDocuments(part: string, rows: readonly Row[], origin: Origin): Promise<void> {
  const directory = path.join(root, 'docs/figures')
  fs.mkdirSync(directory, { recursive: true })
  const picture = chart(rows, originText(origin))
  if (picture !== undefined) fs.writeFileSync(path.join(directory, `${part}.svg`), picture)
  fs.writeFileSync(path.join(directory, `${part}.json`), `${JSON.stringify({ ...origin, rows }, null, 2)}\n`)
  const image = picture === undefined ? [] : [`![The figures of ${part} as bars](figures/${part}.svg)`]
  const source = `[All figures as JSON](figures/${part}.json).`
  const content = [`${originText(origin)}. ${source}`, ...image, markdownTable(rows)].join('\n\n')
  const document = path.join(root, 'docs/performance.md')
  fs.writeFileSync(document, withFigures(fs.readFileSync(document, 'utf8'), part, content))
  await must(['npx', 'prettier', '--write', '--log-level', 'warn', document, path.join(directory, `${part}.json`)])
}

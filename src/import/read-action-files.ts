/** The action files of nf-pkd: all of a directory and of those below it. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expandHome, oneLine, reasonOf, UserError } from '../util/index.js'
import type { ActionFile } from './nf-pkd.js'
import { readText } from './read-input.js'

const maxActionFiles = 1000
const maxActionBytes = 8 * 1024 * 1024
const maxDepth = 20

export function readActionFiles(directory: string): ActionFile[] {
  const files = findActionFiles(directory, 0)
  if (files.length === 0) throw new UserError(`no file in ${oneLine(directory)} ends with .json`)
  if (files.length > maxActionFiles)
    throw new UserError(`more than ${maxActionFiles} files in ${oneLine(directory)} end with .json`)
  let bytes = 0
  return files.map(file => {
    const text = readText(file)
    bytes += text.length
    if (bytes > maxActionBytes) throw new UserError(`the files in ${oneLine(directory)} are larger than 8 MiB together`)
    return { file, text }
  })
}

function findActionFiles(directory: string, depth: number): string[] {
  if (depth > maxDepth) throw new UserError(`${oneLine(directory)} is more than ${maxDepth} deep`)
  let entries: fs.Dirent[]
  try {
    entries = fs.readdirSync(expandHome(directory), { withFileTypes: true })
  } catch (error) {
    throw new UserError(`${oneLine(directory)} cannot be read: ${reasonOf(error)}`)
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(entry => {
      const file = path.join(directory, entry.name)
      if (entry.isDirectory()) return findActionFiles(file, depth + 1)
      return entry.name.endsWith('.json') && isRegularFile(expandHome(file)) ? [file] : []
    })
}

/** Pipes and devices are skipped: reading one may block. What cannot be inspected is an error when it is read. */
function isRegularFile(file: string): boolean {
  try {
    return fs.statSync(file).isFile()
  } catch {
    return true
  }
}

/** The inputs that are kept: test/fuzz/corpus/TARGET/NAME. Each was refused wrongly once, or is a sample of its kind. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { root } from '../support/commands.js'

const folder = path.join(root, 'test/fuzz/corpus')

/** The inputs of a target, by name. */
export function corpusOf(target: string): Map<string, Buffer> {
  const own = path.join(folder, target)
  const names = fs.existsSync(own) ? fs.readdirSync(own).sort() : []
  return new Map(names.map(name => [name, fs.readFileSync(path.join(own, name))]))
}

/** The targets that have a folder. */
export const corpusFolders = (): string[] => fs.readdirSync(folder).sort()

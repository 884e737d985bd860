/** What is wrong with a configuration, as data; the CLI and the log decide how it looks. */

import type { ServiceSpec } from '../nft/index.js'
import type { SecretPlaces } from './secret-places.js'
import { withoutQuotes } from './secret-places.js'

/** A position in a file of the configuration. Lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string
  readonly line: number
  readonly column: number
}

interface ConfigProblem extends SourcePosition {
  /** One line, starting with the option's path where there is one: `services.ssh.port: expected …`. */
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
}

/** A configuration that cannot be used, with all its problems in the order of files and lines. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  constructor(
    readonly problems: readonly ConfigProblem[],
    /** What could be understood all the same: for closing ports, never for opening any. */
    readonly readable: { readonly services: readonly ServiceSpec[]; readonly stateDirectory?: string },
  ) {
    super(problems.map(formatProblem).join('\n'))
  }
}

export const formatPosition = ({ file, line, column }: SourcePosition): string => `${file}:${line}:${column}`

/** `FILE:LINE:COL: message (hint)` */
function formatProblem(problem: ConfigProblem): string {
  return `${formatPosition(problem)}: ${problem.message}${problem.hint === undefined ? '' : ` (${problem.hint})`}`
}

/** Collects what is found while a configuration is read. */
export class Findings {
  readonly problems: ConfigProblem[] = []
  readonly warnings: string[] = []
  readonly #secrets = new Map<string, SecretPlaces>()

  /** From now on, messages about these places of the file quote nothing. */
  keepSecret(file: string, places: SecretPlaces): void {
    this.#secrets.set(file, places)
  }

  isSecretAt({ file, line, column }: SourcePosition): boolean {
    return this.#secrets.get(file)?.(line, column) ?? false
  }

  problem(position: SourcePosition, message: string, hint?: string): void {
    const isSecret = this.isSecretAt(position)
    const text = isSecret ? withoutQuotes(message) : message
    // A near miss of a part of a secret would tell what that part is.
    const isTold = hint !== undefined && !(isSecret && text !== message)
    this.problems.push({ ...position, message: text, ...(isTold ? { hint } : {}) })
  }

  warn(position: SourcePosition, message: string): void {
    const text = this.isSecretAt(position) ? withoutQuotes(message) : message
    this.warnings.push(`${formatPosition(position)}: ${text}`)
  }
}

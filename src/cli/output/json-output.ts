/** What `--json` prints: docs/json.md has every field. */
import type { Command } from 'commander'
import type { Problem, Terminal } from '../../util/index.js'

/** Grows when a field is removed, or changes its name or its meaning; not when one is added. */
const jsonVersion = 1

/** One object on one line, its version first. */
export const jsonText = (fields: object): string => JSON.stringify({ jsonVersion, ...fields })

/**
 * A terminal that can speak in JSON. Commands get it before their arguments are parsed, and only the command says whether
 * it has `--json`; so it is switched on later, by `useJson`.
 */
export class JsonTerminal {
  readonly terminal: Terminal
  readonly #errors: Problem[] = []
  #json = false

  constructor(readonly inner: Terminal) {
    this.terminal = {
      ...inner,
      error: message => {
        if (this.#json) this.#errors.push({ message })
        else inner.error(message)
      },
      hint: hint => {
        const last = this.#errors.pop()
        if (last) this.#errors.push({ ...last, hint: last.hint === undefined ? hint : `${last.hint}; ${hint}` })
        else if (this.#json) inner.errorLine(jsonText({ hint }))
        else inner.hint(hint)
      },
      warn: warning => {
        if (this.#json) inner.errorLine(jsonText({ warning }))
        else inner.warn(warning)
      },
    }
  }

  /** Speaks in JSON if the line asks for it, and the command that it begins with can. */
  useJson(program: Command, argv: readonly string[]): void {
    const end = argv.indexOf('--')
    const asks = (end < 0 ? argv : argv.slice(0, end)).includes('--json')
    const [first, second] = argv
    const command = program.commands.find(one => one.name() === first)
    const called = command?.commands.find(one => one.name() === second) ?? command
    this.#json = asks && called?.options.some(({ long }) => long === '--json') === true
  }

  /** Prints the errors of the command as one object. */
  end(exitCode: number): void {
    const [first, ...more] = this.#errors.splice(0).map(({ message, hint = null }) => ({ message, hint }))
    if (first) this.inner.errorLine(jsonText({ ...first, exitCode, more }))
  }
}

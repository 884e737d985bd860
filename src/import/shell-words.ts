/**
 * What a shell would make of a line or a script, as far as it is plain words: quotes are removed, commands separated.
 * Nothing is expanded; a command in which something would be is not literal.
 */

export interface ShellCommand {
  readonly words: readonly string[]
  /** Whether the words are just what the shell would pass on. */
  readonly literal: boolean
  /** Whether input or output goes elsewhere. */
  readonly redirected: boolean
  /** From 1: where it begins. */
  readonly line: number
  /** What stands between it and what follows, such as `&&`; empty at the end of the text. */
  readonly operator: string
  /** Where what follows begins, as an index of the text. */
  readonly next: number
}

/** The simple commands of a script, in their order; `plain` is whether there was nothing else, as operators. */
export function readShell(text: string): { commands: ShellCommand[]; plain: boolean } {
  const reader = new WordReader(text)
  reader.read()
  return { commands: reader.commands, plain: reader.plain }
}

/** The words of a line that is one command and needs no shell. */
export function literalWords(line: string): readonly string[] | undefined {
  const { commands, plain } = readShell(line)
  const [command, ...more] = commands
  return plain && command && more.length === 0 && command.literal && !command.redirected ? command.words : undefined
}

const separators = '\n;&|()'
const expands = '$`*?['
// No other space is one to a shell; the last is of lines that end as in DOS.
const blanks = ' \t\r'

class WordReader {
  readonly commands: ShellCommand[] = []
  plain = true
  #at = 0
  #line = 1
  #word: string | undefined
  #skipWord = false
  #words: string[] = []
  #literal = true
  #redirected = false
  #start = 1
  // Whether the next word is the end of a here-document, and whether tabs may stand before that.
  #document: { tabs: boolean } | undefined
  #documents: { end: string; tabs: boolean }[] = []

  constructor(readonly text: string) {}

  read(): void {
    while (this.#at < this.text.length) this.#character(this.text[this.#at++] as string)
    this.#endCommand()
  }

  #character(character: string): void {
    if (character === '\\') this.#escaped()
    else if (character === "'" || character === '"') this.#quoted(character)
    else if (separators.includes(character)) {
      if (character !== '\n') this.plain = false
      const isDouble = '&|;'.includes(character) && this.text[this.#at] === character
      if (isDouble) this.#at++
      this.#endCommand(isDouble ? character + character : character)
      if (character === '\n') {
        this.#line++
        this.#skipDocuments()
      }
    } else if (blanks.includes(character)) this.#endWord()
    else if (character === '#' && this.#word === undefined) {
      this.plain = false
      const end = this.text.indexOf('\n', this.#at)
      this.#at = end < 0 ? this.text.length : end
    } else if (character === '<' || character === '>') {
      if (/^\d$/.test(this.#word ?? '')) this.#word = undefined
      this.#endWord()
      this.#redirected = true
      this.#skipWord = true
      // `>>` and `>&1` are one operator.
      const begin = this.#at - 1
      while ('<>&|'.includes(this.text[this.#at] ?? ' ')) this.#at++
      if (this.text.slice(begin, this.#at) !== '<<') return
      this.#document = { tabs: this.text[this.#at] === '-' }
      if (this.#document.tabs) this.#at++
    } else {
      if (expands.includes(character) || (character === '~' && this.#word === undefined)) this.#literal = false
      this.#add(character)
    }
  }

  #escaped(): void {
    const next = this.text[this.#at++]
    if (next === '\n') this.#line++
    else this.#add(next ?? '\\')
  }

  #quoted(quote: string): void {
    this.#add('')
    for (;;) {
      const character = this.text[this.#at++]
      if (character === quote) return
      if (character === undefined) {
        this.#literal = false
        return
      }
      if (character === '\n') this.#line++
      if (quote === '"' && (character === '$' || character === '`')) this.#literal = false
      const next = this.text[this.#at] ?? ''
      if (quote === '"' && character === '\\' && '$`"\\'.includes(next) && next !== '') {
        this.#at++
        this.#add(next)
      } else this.#add(character)
    }
  }

  #add(text: string): void {
    if (this.#words.length === 0 && this.#word === undefined) this.#start = this.#line
    this.#word = (this.#word ?? '') + text
  }

  #endWord(): void {
    if (this.#word !== undefined) {
      if (!this.#skipWord) this.#words.push(this.#word)
      // In arithmetic, `<<` is followed by a number.
      else if (this.#document && !/^\d/.test(this.#word)) this.#documents.push({ ...this.#document, end: this.#word })
      this.#skipWord = false
      this.#document = undefined
    }
    this.#word = undefined
  }

  /** Text for a program, which may well look like commands. */
  #skipDocuments(): void {
    for (const { end, tabs } of this.#documents.splice(0)) {
      for (let line: string | undefined; line !== end && this.#at < this.text.length; this.#line++) {
        const newline = this.text.indexOf('\n', this.#at)
        const next = newline < 0 ? this.text.length : newline
        line = this.text.slice(this.#at, next).replace(/\r$/, '')
        if (tabs) line = line.replace(/^\t+/, '')
        this.#at = next + 1
      }
    }
  }

  #endCommand(operator = ''): void {
    this.#endWord()
    if (this.#words.length > 0) {
      const [words, literal, redirected, line] = [this.#words, this.#literal, this.#redirected, this.#start]
      this.commands.push({ words, literal, redirected, line, operator, next: this.#at })
    }
    this.#words = []
    this.#literal = true
    this.#redirected = false
    this.#skipWord = false
    this.#document = undefined
  }
}

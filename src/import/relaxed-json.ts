/**
 * Lists of flat objects in JSON, and in what people write for it: strings between single quotes, words without quotes,
 * commas before a closing bracket, comments. What could mean two things is an error that tells what to write.
 */

type Scalar = string | number | boolean | null

export interface FlatObject {
  readonly values: ReadonlyMap<string, { readonly value: Scalar; /** As it is written. */ readonly raw: string }>
  /** From 1: where it begins. */
  readonly line: number
}

interface Relaxed {
  readonly objects: readonly FlatObject[]
  /** What is not JSON and was read all the same. */
  readonly liberties: readonly string[]
}

export class RelaxedJsonError extends Error {
  override readonly name = 'RelaxedJsonError'
  constructor(
    readonly line: number,
    message: string,
    readonly hint?: string,
  ) {
    super(message)
  }
}

export function readRelaxedJson(text: string): Relaxed {
  return new JsonReader(text.replace(/^\ufeff/, '')).document()
}

const example = '[ { "name": "ssh", "key": "secret", "tag": "SSHK", "protocol": "tcp", "port": 22 } ]'

const blank = /\s+|\/\/[^\n]*|#[^\n]*|\/\*[^]*?\*\//y

class JsonReader {
  #at = 0
  // Line ends before the character `counted`, and one.
  #lines = 1
  #counted = 0
  readonly #liberties = new Set<string>()

  constructor(readonly text: string) {}

  document(): Relaxed {
    this.#space()
    const objects: FlatObject[] = []
    if (this.#text(1) === '{') {
      this.#liberties.add('one object without a list around it')
      objects.push(this.#object())
    } else {
      if (this.#text(1) !== '[') this.#fail('expected a list of rules', `as in ${example}`)
      this.#items(']', () => objects.push(this.#object()))
    }
    this.#space()
    if (this.#at < this.text.length) this.#fail('expected nothing more after the end of the list')
    return { objects, liberties: [...this.#liberties] }
  }

  #object(): FlatObject {
    const line = this.#line()
    if (this.#text(1) !== '{') this.#fail('expected a rule between { and }', `as in ${example}`)
    const values = new Map<string, { value: Scalar; raw: string }>()
    this.#items('}', () => {
      const key = String(this.#scalar('a key between double quotes').value)
      if (values.has(key)) this.#fail('a key is given twice')
      this.#space()
      if (this.#text(1) !== ':') this.#fail('expected a colon after the key', 'write "key": "value"')
      this.#at++
      this.#space()
      values.set(key, this.#scalar('text between double quotes, or a number'))
    })
    return { values, line }
  }

  /** From the opening bracket, on which it stands, to behind the closing one. */
  #items(end: string, item: () => unknown): void {
    this.#at++
    for (;;) {
      this.#space()
      if (this.#text(1) === end) break
      item()
      this.#space()
      if (this.#text(1) === ',') {
        this.#at++
        this.#space()
        if (this.#text(1) === end) this.#liberties.add(`a comma before ${end}`)
      } else if (this.#text(1) !== end) this.#fail(`expected a comma or ${end}`, 'a comma stands between two entries')
    }
    this.#at++
  }

  #scalar(what: string): { value: Scalar; raw: string } {
    const rest = this.text.slice(this.#at, this.#at + 4096)
    const [literal] = /^"(?:[^"\\\n]|\\.)*"/.exec(rest) ?? []
    if (literal !== undefined) {
      try {
        return this.#take(literal, JSON.parse(literal) as string)
      } catch {
        this.#fail('has an escape or a character that JSON does not know', 'write \\\\ for a backslash')
      }
    }
    if (rest.startsWith('"')) this.#fail('expected a double quote at the end of the text, in the same line')
    if (rest.startsWith("'")) return this.#singleQuoted(rest)
    const [word] = /^[A-Za-z0-9_./:%+-]+(?=[ \t]*(?:[,:}\]\r\n]|$))/.exec(rest) ?? []
    if (word === undefined || word.endsWith(':')) return this.#keyWord(rest, what)
    return this.#word(word)
  }

  #singleQuoted(rest: string): { value: Scalar; raw: string } {
    const [, text] = /^'([^'\\\n]*)'(?=\s*[,:}\]])/.exec(rest) ?? []
    if (text === undefined)
      this.#fail('text between single quotes, with a quote or a backslash in it', 'write "text" between double quotes')
    this.#liberties.add("text between single quotes, '…'")
    return this.#take(`'${text}'`, text)
  }

  /** `name: …`, where the colon could be part of the word. */
  #keyWord(rest: string, what: string): { value: Scalar; raw: string } {
    const [word] = /^[A-Za-z_][\w-]*(?=[ \t]*:)/.exec(rest) ?? []
    if (word === undefined) this.#fail(`expected ${what}`, `as in ${example}`)
    return this.#word(word)
  }

  #word(word: string): { value: Scalar; raw: string } {
    if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(word)) return this.#take(word, Number(word))
    if (word === 'true' || word === 'false') return this.#take(word, word === 'true')
    if (word === 'null') return this.#take(word, null)
    const [key] = /^[A-Za-z_][\w-]*(?=:)/.exec(word) ?? []
    this.#liberties.add('words without quotes')
    return this.#take(key ?? word, key ?? word)
  }

  #take(raw: string, value: Scalar): { value: Scalar; raw: string } {
    this.#at += raw.length
    return { value, raw }
  }

  #space(): void {
    for (;;) {
      blank.lastIndex = this.#at
      const [space] = blank.exec(this.text) ?? []
      if (space === undefined) return
      if (/\S/.test(space)) this.#liberties.add('comments')
      this.#at += space.length
    }
  }

  #text(length: number): string {
    return this.text.slice(this.#at, this.#at + length)
  }

  #line(): number {
    for (; this.#counted < this.#at; this.#counted++) if (this.text[this.#counted] === '\n') this.#lines++
    return this.#lines
  }

  #fail(message: string, hint?: string): never {
    throw new RelaxedJsonError(this.#line(), message, hint)
  }
}

/** The questions of `pkctl setup`, each with a proposal that Return takes. */
import * as readline from 'node:readline'
import { checkServiceName } from '../flags/flag-values.js'
import type { Terminal } from '../../util/index.js'
import { usageError, UserError, ValueError } from '../../util/index.js'
import type { ListeningProgram } from './listeners.js'
import { parseServicePort } from './plan.js'
import type { Knocker } from './user-keys.js'

/** Puts a question and resolves to the answer. Rejects at the end of the input. */
export type Ask = (question: string) => Promise<string>

/** How often an answer that is no answer is asked for again. */
const attempts = 5

export interface ServicePort {
  readonly service: string
  readonly port: number
}

/** The name of a service that a program offers at a port. */
export function nameOfService({ port, program }: ListeningProgram): string {
  if (program === 'sshd' || port === 22) return 'ssh'
  const name = (program ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+|-+$/g, '')
    .slice(0, 20)
  return name === '' ? `port-${port}` : name
}

export const askService = (
  ask: Ask,
  terminal: Terminal,
  listeners: readonly ListeningProgram[],
): Promise<ServicePort> => {
  const [first] = listeners
  const others = listeners.map(({ port, program }) => (program === undefined ? `${port}` : `${port} (${program})`))
  if (others.length > 0) terminal.out(`Programs listen at ${others.slice(0, 8).join(', ')}.`)
  const proposal = first && `${nameOfService(first)}=${first.port}`
  return repeat(ask, terminal, `Which service, and its TCP port${inBrackets(proposal)}? `, text => {
    const { service, port } = parseServicePort(text === '' ? (proposal ?? '') : text)
    const there = listeners.find(one => one.port === port)
    return { service: checkServiceName(service ?? nameOfService(there ?? { port, program: undefined })), port }
  })
}

/** `proposed` is undefined where no local user has a key. */
export function askKnocker(
  ask: Ask,
  terminal: Terminal,
  proposed: Knocker | undefined,
  find: (name: string, key?: string) => Knocker,
): Promise<Knocker> {
  terminal.out(
    'The user must have an SSH key. For a user without an account here, write the name, "=" and the file of the public key.',
  )
  return repeat(ask, terminal, `Who knocks${inBrackets(proposed?.name)}? `, text => {
    if (text === '' && proposed) return proposed
    const [, name = '', key] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? []
    if (name.trim() === '') throw usageError('the name of a user is needed')
    return find(name.trim(), key?.trim())
  })
}

/** Return takes `proposal`. */
export const askYesOrNo = (ask: Ask, terminal: Terminal, question: string, proposal: boolean): Promise<boolean> =>
  repeat(ask, terminal, `${question} [${proposal ? 'Y/n' : 'y/N'}] `, text => {
    if (text === '') return proposal
    if (/^y(es)?$/i.test(text)) return true
    if (/^no?$/i.test(text)) return false
    throw usageError('answer yes or no')
  })

async function repeat<T>(ask: Ask, terminal: Terminal, question: string, take: (text: string) => T): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const text = (await ask(question)).trim()
    try {
      return take(text)
    } catch (error) {
      if (!(error instanceof UserError || error instanceof ValueError) || attempt === attempts) throw error
      terminal.error(error.message)
      if (error.hint !== undefined) terminal.hint(error.hint)
    }
  }
}

const inBrackets = (proposal: string | undefined) => (proposal === undefined ? '' : ` [${proposal}]`)

/** Asks on the terminal of stdin until `end` is called. Throws a usage error where stdin is none. */
export function terminalQuestions(): { ask: Ask; end: () => void } {
  if (!process.stdin.isTTY)
    throw usageError('pkctl setup asks questions, and stdin is no terminal', '--yes takes what it proposes')
  const lines = readline.createInterface({ input: process.stdin, output: process.stdout })
  // What is typed before its question answers it.
  const typed = lines[Symbol.asyncIterator]()
  return {
    async ask(question) {
      lines.setPrompt(question)
      lines.prompt()
      const answer = await typed.next()
      if (answer.done === true) throw usageError('not all questions were answered, and nothing was changed')
      return answer.value
    },
    end: () => {
      lines.close()
      // Lines that were typed early, and are not asked for, can make it read on, which keeps the program from its end.
      process.stdin.unref()
    },
  }
}

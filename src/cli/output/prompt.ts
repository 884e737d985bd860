import * as fs from 'node:fs'
import * as readline from 'node:readline'
import * as tty from 'node:tty'
import { usageError } from '../../util/index.js'

/** Asks for a secret without showing it; from a pipe, takes its first line. */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process
  if (!stdin.isTTY) {
    // Not to the end: what follows the key may be for another program.
    const lines = readline.createInterface({ input: stdin, crlfDelay: Infinity })
    for await (const line of lines) {
      lines.close()
      return line
    }
    return ''
  }
  try {
    return await readHidden(stdin, question, text => stderr.write(text))
  } finally {
    stdin.pause()
  }
}

/** Asks on the terminal that the program was started from, wherever stdin, stdout and stderr lead. */
export async function askOnTerminal(question: string): Promise<string> {
  let file: number
  try {
    file = fs.openSync('/dev/tty', 'r+')
  } catch {
    throw usageError(
      'no key was given, and there is no terminal to ask for it',
      'name it with --key-file or --key-env, or add a host entry with key-file to hosts.yaml',
    )
  }
  const terminal = new tty.ReadStream(file)
  try {
    return await readHidden(terminal, question, text => fs.writeSync(file, text))
  } finally {
    terminal.destroy()
  }
}

async function readHidden(terminal: tty.ReadStream, question: string, write: (text: string) => void): Promise<string> {
  // Before the question: who answers it at once, or by a program, types nothing that is shown.
  terminal.setRawMode(true)
  try {
    write(question)
    return await readLine(terminal)
  } finally {
    terminal.setRawMode(false)
    write('\n')
  }
}

function readLine(terminal: tty.ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let secret = ''
    const onData = (chunk: string) => {
      for (const character of chunk) {
        if (character === '\r' || character === '\n' || character === '\u0004')
          return void finish(() => resolve(secret))
        if (character === '\u0003') return void finish(() => reject(usageError('no key was given')))
        if (character === '\u007f' || character === '\b') secret = Array.from(secret).slice(0, -1).join('')
        else if (character === '\u0015') secret = ''
        else secret += character
      }
    }
    const onGone = () => finish(() => reject(usageError('no key was given')))
    const finish = (end: () => void) => {
      terminal.off('data', onData).off('end', onGone).off('error', onGone)
      end()
    }
    terminal.setEncoding('utf8').on('data', onData).on('end', onGone).on('error', onGone).resume()
  })
}

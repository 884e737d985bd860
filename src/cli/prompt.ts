import * as readline from 'node:readline'
import { usageError } from './terminal.js'

/** Asks for a secret without showing it; from a pipe, takes its first line. */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process
  if (!stdin.isTTY) {
    // Not to the end: what comes after the key may be somebody else's.
    const lines = readline.createInterface({ input: stdin, crlfDelay: Infinity })
    for await (const line of lines) {
      lines.close()
      return line
    }
    return ''
  }
  stderr.write(question)
  stdin.setRawMode(true)
  try {
    return await readHidden(stdin)
  } finally {
    stdin.setRawMode(false)
    stdin.pause()
    stderr.write('\n')
  }
}

function readHidden(stdin: NodeJS.ReadStream): Promise<string> {
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
    const finish = (end: () => void) => {
      stdin.off('data', onData)
      end()
    }
    stdin.setEncoding('utf8').on('data', onData).resume()
  })
}

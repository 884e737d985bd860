/** Debian's client of fwknop: packets that it makes, or sends. */
import * as fs from 'node:fs'
import path from 'node:path'
import { must } from './commands.js'

/** Keys that are no secrets. */
export const fwknopKeys = { key: 'pkctl-enc-key-1', 'hmac-key': 'pkctl-hmac-key-1' } as const

const withKeys = ['--key-rijndael', fwknopKeys.key]
export const withHmac = ['--use-hmac', '--key-hmac', fwknopKeys['hmac-key']]

/** The command line of the client, which keeps to `directory`. */
export const fwknopClient = (directory: string, server: string, args: readonly string[], keys = withKeys): string[] => [
  ...['fwknop', '--no-home-dir', '--no-rc-file', '-E', path.join(directory, 'fwknop.args'), '-D', server],
  ...keys,
  ...args,
]

/** The payload of the packet that the client would send. */
export async function fwknopPacket(directory: string, args: readonly string[], keys = withKeys): Promise<string> {
  const file = path.join(directory, 'fwknop.packet')
  fs.rmSync(file, { force: true })
  await must(fwknopClient(directory, '192.0.2.1', ['--test', '--save-packet', file, ...args], keys))
  return fs.readFileSync(file, 'latin1').trim()
}

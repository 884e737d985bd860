/**
 * Makes test/vectors/fwknop.json with Debian's client of fwknop, which takes new random values and the present time on
 * each run: node dist/test/support/make-fwknop-vectors.js > test/vectors/fwknop.json, and npm run format.
 *
 * What a packet was made of is found with openssl, and not with the code under test.
 */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { fwknopKeys, fwknopPacket, withHmac } from './fwknop.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-fwknop-'))
const port = 62_201
const user = 'alice'
const toSource = ['-A', 'tcp/22', '-s']
const asksSsh = { ports: [{ protocol: 'tcp', port: 22 }] }

interface Case {
  readonly name: string
  readonly outcome: string
  readonly args: readonly string[]
  /** The command line's keys, where they are others. */
  readonly keys?: readonly string[]
  /** Of the credential. */
  readonly options?: Readonly<Record<string, unknown>>
  /** What an accepted one asks for, beside its user. */
  readonly asks?: Readonly<Record<string, unknown>>
  /** The key in hex, where it is another. */
  readonly hex?: string
  readonly hmacLength?: number
  /** Changes the packet afterwards. */
  readonly change?: (text: string) => string
}

const base64 = [32, 64].map(size => Buffer.alloc(size, 0).map((_, i) => (i * 37 + size) % 256))
const [key64, hmac64] = base64.map(bytes => Buffer.from(bytes).toString('base64')) as [string, string]

const hmacs: Readonly<Record<string, readonly [clients: string, length: number]>> = {
  md5: ['md5', 22],
  sha1: ['sha1', 27],
  sha256: ['sha256', 43],
  sha384: ['sha384', 64],
  sha512: ['sha512', 86],
  'sha3-256': ['sha3_256', 43],
  'sha3-512': ['sha3_512', 86],
}

const flip = (text: string, at: number) => {
  const i = at < 0 ? text.length + at : at
  return `${text.slice(0, i)}${text[i] === 'A' ? 'B' : 'A'}${text.slice(i + 1)}`
}

const right: readonly Case[] = [
  {
    name: 'access for an address',
    outcome: 'accepted',
    args: ['-A', 'tcp/22', '-a', '192.0.2.7', ...withHmac],
    asks: { ...asksSsh, address: '192.0.2.7' },
  },
  { name: "access for the packet's source", outcome: 'accepted', args: [...toSource, ...withHmac], asks: asksSsh },
  {
    name: 'several ports',
    outcome: 'accepted',
    args: ['-A', 'tcp/22,udp/1194,tcp/65535', '-s', ...withHmac],
    asks: {
      ports: [
        { protocol: 'tcp', port: 22 },
        { protocol: 'udp', port: 1194 },
        { protocol: 'tcp', port: 65_535 },
      ],
    },
  },
  {
    name: 'a timeout of the client',
    outcome: 'accepted',
    args: [...toSource, '-f', '90', ...withHmac],
    asks: { ...asksSsh, seconds: 90 },
  },
  {
    name: 'keys of base64',
    outcome: 'accepted',
    args: [...toSource, '--use-hmac', '--key-base64-hmac', hmac64],
    keys: ['--key-base64-rijndael', key64],
    options: { key: `base64:${key64}`, 'hmac-key': `base64:${hmac64}` },
    hex: Buffer.from(key64, 'base64').toString('hex'),
    asks: asksSsh,
  },
  ...Object.values(hmacs).map(([digest]) => ({
    name: `the digest ${digest}`,
    outcome: 'accepted',
    args: [...toSource, '-m', digest, ...withHmac],
    asks: { ...asksSsh, digest: digest.replace('_', '-') },
  })),
  ...Object.entries(hmacs).map(([hmac, [clients, hmacLength]]) => ({
    name: `the HMAC ${hmac}`,
    outcome: 'accepted',
    args: [...toSource, '--hmac-digest-type', clients, ...withHmac],
    options: { hmac },
    hmacLength,
    asks: asksSsh,
  })),
]

const refused: readonly Case[] = [
  ...(
    [
      ['NAT access', ['-N', '10.0.0.1,22']],
      ['NAT access with a timeout', ['-N', '10.0.0.1,22', '-f', '30']],
      ['local NAT access', ['--nat-local', '--nat-port', '22']],
      ['local NAT access with a timeout', ['--nat-local', '--nat-port', '22', '-f', '30']],
    ] as const
  ).map(([name, args]) => ({ name, outcome: 'nat-refused', args: [...toSource, ...args, ...withHmac] })),
  { name: 'a command', outcome: 'command-refused', args: ['-C', 'id', '-a', '192.0.2.7', ...withHmac] },
  { name: 'another user', outcome: 'wrong-user', args: [...toSource, ...withHmac], options: { user: 'bob' } },
  {
    name: 'no address, where one is required',
    outcome: 'source-not-named',
    args: [...toSource, ...withHmac],
    options: { 'require-source-address': true },
  },
  { name: 'no HMAC', outcome: 'bad-hash', args: toSource },
  { name: 'mode legacy, which has no HMAC', outcome: 'bad-hash', args: [...toSource, '-M', 'legacy'] },
  ...['cfb', 'ofb', 'ctr', 'ecb'].map(mode => ({
    name: `mode ${mode}`,
    outcome: 'bad-hash',
    args: [...toSource, '-M', mode, ...withHmac],
  })),
  {
    name: 'another key of the encryption',
    outcome: 'bad-hash',
    args: [...toSource, ...withHmac],
    options: { key: 'another' },
  },
  {
    name: 'another key of the HMAC',
    outcome: 'bad-hash',
    args: [...toSource, ...withHmac],
    options: { 'hmac-key': 'another' },
  },
  {
    name: 'another HMAC of the same length',
    outcome: 'bad-hash',
    args: [...toSource, ...withHmac],
    options: { hmac: 'sha3-256' },
  },
  { name: 'another HMAC', outcome: 'malformed', args: [...toSource, ...withHmac], options: { hmac: 'sha1' } },
  ...(
    [
      ['a character of the ciphertext changed', 'bad-hash', text => flip(text, 50)],
      ['a character of the HMAC changed', 'bad-hash', text => flip(text, -5)],
      ['the last character spelled otherwise', 'bad-hash', text => spelledOtherwise(text)],
      ['an = for the last character', 'bad-hash', text => `${text.slice(0, -1)}=`],
      ['an = behind it', 'malformed', text => `${text}=`],
      ['a character less', 'malformed', text => text.slice(1)],
      ['the prefix that is always left out', 'malformed', text => `U2FsdGVkX1${text}`],
      ['another first character', 'unknown-tag', text => `7${text.slice(1)}`],
    ] as readonly [string, string, (text: string) => string][]
  ).map(([name, outcome, change]) => ({ name, outcome, args: [...toSource, ...withHmac], change })),
]

/** The last of 43 characters has two bits that mean nothing. */
function spelledOtherwise(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return text.slice(0, -1) + (alphabet[alphabet.indexOf(text.at(-1) ?? '') ^ 1] ?? '')
}

/** What an accepted packet is made of, as openssl decrypts it. */
function madeOf(text: string, { hex, hmacLength = 43 }: Case): { time: number; random: string } {
  const container = Buffer.from(`U2FsdGVkX1${text.slice(0, -hmacLength)}`, 'base64')
  const password = hex === undefined ? fwknopKeys.key : undefined
  const salt = container.subarray(8, 16)
  const [key, iv] = keyAndIv(password === undefined ? Buffer.from(hex ?? '', 'hex') : Buffer.from(password), salt)
  const line = execFileSync('openssl', ['enc', '-d', '-aes-256-cbc', '-K', key, '-iv', iv], {
    input: container.subarray(16),
  }).toString()
  const [number = '', , time] = line.split(':')
  const digits = Buffer.alloc(8)
  digits.writeBigUInt64BE(BigInt(number))
  return { time: Number(time), random: Buffer.concat([salt, digits]).toString('hex') }
}

function keyAndIv(password: Buffer, salt: Buffer): [string, string] {
  let all = Buffer.alloc(0)
  while (all.length < 48) {
    const input = Buffer.concat([all.subarray(Math.max(0, all.length - 16)), password, salt])
    all = Buffer.concat([all, execFileSync('openssl', ['dgst', '-md5', '-binary'], { input })])
  }
  return [all.toString('hex', 0, 32), all.toString('hex', 32, 48)]
}

const cases: object[] = []
for (const one of [...right, ...refused]) {
  const { name, outcome, args, keys, options, asks, change } = one
  const text = await fwknopPacket(directory, ['-U', user, ...args], keys && [...keys])
  const made = outcome === 'accepted' ? { ...madeOf(text, one), asks: { user, ...asks } } : {}
  const payload = Buffer.from(change?.(text) ?? text, 'latin1').toString('hex')
  cases.push({ name, outcome, ...fwknopKeys, ...options, port, ...made, payload })
}
fs.rmSync(directory, { recursive: true })

const about =
  "fwknop's packets, made by Debian's client 2.6.10: `payload` (hex) arrives at UDP port `port`, and a receiver that has `key`, `hmac-key` and the other options must come to `outcome`. Where it is accepted, it was made of `time` (Unix seconds), `random` (hex: the salt, and the number at the beginning of the line), and what it `asks` for. Time, replay, and whether the ports may be opened are not judged here. test/support/make-fwknop-vectors.ts makes them anew."
process.stdout.write(`${JSON.stringify({ about, cases }, null, 2)}\n`)

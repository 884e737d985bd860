/** What the client reads of OpenSSH at its side: an agent, `ssh -G`, and key files. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { AgentError, agentKeys, agentSignature } from '../../../src/client/openssh/agent.js'
import { certificateIn, isEncrypted, isPrivate, publicKeyInFile } from '../../../src/client/openssh/identity-files.js'
import { parseSshConfig } from '../../../src/client/openssh/ssh-config.js'
import { sshString } from '../../../src/knock/openssh/index.js'
import { root } from '../../support/commands.js'
import { isClear, orRefused } from '../properties.js'
import type { Target } from '../target.js'

const directory = path.join(os.tmpdir(), `pkctl-fuzz-client-${process.pid}`)
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))

function write(name: string, content: Buffer): string {
  fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = path.join(directory, name)
  fs.writeFileSync(file, content)
  return file
}

const publicKey = fs.readFileSync(path.join(root, 'test/vectors/openssh/ed25519.pub'), 'latin1')
const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64')

let answer: Buffer = Buffer.alloc(0)
let agent: Promise<string> | undefined
/** An agent that answers each question with `answer`. */
function agentSocket(): Promise<string> {
  const file = path.join(directory, 'agent')
  agent ??= new Promise(resolve => {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
    net
      .createServer(connection => {
        connection.on('error', () => undefined)
        connection.once('data', () => connection.end(answer))
      })
      .listen(file, () => resolve(file))
  })
  return agent
}

const framed = (kind: number, ...fields: Buffer[]) => sshString(Buffer.concat([Buffer.from([kind]), ...fields]))
const number = (value: number) => Buffer.from([0, 0, 0, value])

/** A private key that is not encrypted (PROTOCOL.key), as far as pkctl reads it. */
const privateKey = Buffer.concat([
  Buffer.from('openssh-key-v1\0'),
  ...['none', 'none', ''].map(text => sshString(Buffer.from(text))),
  ...[number(1), sshString(blob), sshString(Buffer.alloc(136, 1))],
]).toString('base64')

export const opensshClientTargets: readonly Target[] = [
  {
    name: 'ssh-agent',
    seeds: [
      framed(12, number(1), sshString(blob), sshString(Buffer.from('comment'))),
      framed(14, sshString(Buffer.alloc(83, 1))),
      framed(5),
    ],
    runs: 300,
    async run(input) {
      answer = input
      const socket = await agentSocket()
      for (const question of [agentKeys(socket), agentSignature(socket, blob, Buffer.from('data'))]) {
        await question.catch((error: unknown) => {
          assert.ok(error instanceof AgentError)
          isClear(error.message)
        })
      }
    },
  },
  {
    name: 'ssh-config',
    seeds: [
      'hostname server\nport 2222\nuser alice\nidentityfile ~/.ssh/%r@%h\nidentityagent $SOCK\nidentitiesonly yes\n',
    ],
    words: [
      'hostname ',
      'port ',
      'identityfile ',
      'certificatefile ',
      'identityagent ',
      '${HOME}',
      '%%',
      '%d',
      '~/',
      'none',
    ],
    run(input) {
      const { identityFiles } = parseSshConfig(input.toString(), 'server')
      assert.ok(identityFiles.every(({ file }) => typeof file === 'string'))
    },
  },
  {
    name: 'ssh-key-file',
    seeds: [
      publicKey,
      fs.readFileSync(path.join(root, 'test/vectors/openssh/ed25519-cert.pub')),
      `-----BEGIN OPENSSH PRIVATE KEY-----\n${privateKey}\n-----END OPENSSH PRIVATE KEY-----\n`,
    ],
    words: ['-----BEGIN OPENSSH PRIVATE KEY-----', '-----END', 'Proc-Type: 4,ENCRYPTED', 'ssh-ed25519 ', '=', '\n'],
    run(input) {
      const file = write('key', input)
      for (const read of [publicKeyInFile, certificateIn]) {
        const found = orRefused(() => read(file))
        if (found instanceof Error) isClear(found.message)
      }
      assert.ok([true, false].includes(isPrivate(file)) && [true, false].includes(isEncrypted(file)))
    },
  },
]

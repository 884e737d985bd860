/**
 * ssh-agent, asked over its socket (draft-ietf-sshm-ssh-agent): each message is a length of 4 bytes, a byte with its kind,
 * and the fields. One connection for each question.
 */
import * as net from 'node:net'
import { SshFormatError, SshReader, sshString } from '../../knock/openssh/index.js'

/** Why the agent gave no answer of use. */
type AgentProblem = 'absent' | 'silent' | 'refused' | 'malformed'

export class AgentError extends Error {
  override readonly name = 'AgentError'
  constructor(
    readonly problem: AgentProblem,
    readonly socket: string,
  ) {
    super(problemText(problem, socket))
  }
}

function problemText(problem: AgentProblem, socket: string): string {
  switch (problem) {
    case 'absent':
      return `no ssh-agent listens on ${socket}`
    case 'silent':
      return `the ssh-agent on ${socket} does not answer in time`
    case 'refused':
      return `the ssh-agent on ${socket} refuses`
    case 'malformed':
      return `what listens on ${socket} does not answer like an ssh-agent`
  }
}

const kinds = { failure: 5, listKeys: 11, keys: 12, sign: 13, signature: 14 } as const
const maxLength = 256 * 1024
const listMilliseconds = 5000
/** A person may have to confirm, or to touch a token. */
const signMilliseconds = 60_000

export interface AgentKey {
  /** Of a public key, or of a certificate. */
  readonly blob: Buffer
  readonly comment: string
}

/** What the agent can sign with; nothing when it is locked. Throws an AgentError. */
export async function agentKeys(socket: string, milliseconds = listMilliseconds): Promise<AgentKey[]> {
  const answer = await ask(socket, kinds.listKeys, [], milliseconds)
  return answerOf(socket, answer, kinds.keys, reader => {
    const keys: AgentKey[] = []
    const count = reader.uint32()
    while (keys.length < count) keys.push({ blob: reader.string(), comment: reader.string().toString() })
    return keys
  })
}

/** The signature, as its blob. Throws an AgentError. */
export async function agentSignature(
  socket: string,
  key: Buffer,
  data: Buffer,
  milliseconds = signMilliseconds,
): Promise<Buffer> {
  const noFlags = Buffer.alloc(4)
  const answer = await ask(socket, kinds.sign, [sshString(key), sshString(data), noFlags], milliseconds)
  return answerOf(socket, answer, kinds.signature, reader => reader.string())
}

function answerOf<T>(socket: string, answer: Buffer, kind: number, read: (reader: SshReader) => T): T {
  if (answer[0] === kinds.failure) throw new AgentError('refused', socket)
  try {
    const reader = new SshReader(answer, "the agent's answer")
    if (reader.uint8() !== kind) throw reader.error('is of another kind')
    const value = read(reader)
    reader.end()
    return value
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw new AgentError('malformed', socket)
  }
}

/** Resolves to the answer, without its length. */
function ask(path: string, kind: number, fields: readonly Buffer[], milliseconds: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path)
    const timer = setTimeout(() => fail('silent'), milliseconds)
    const fail = (problem: AgentProblem) => {
      clearTimeout(timer)
      socket.destroy()
      reject(new AgentError(problem, path))
    }
    let received = Buffer.alloc(0)
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4) return
      const length = received.readUInt32BE(0)
      if (length === 0 || length > maxLength) return fail('malformed')
      if (received.length < 4 + length) return
      clearTimeout(timer)
      socket.destroy()
      resolve(received.subarray(4, 4 + length))
    })
    socket.on('error', () => fail('absent'))
    socket.on('end', () => fail('malformed'))
    socket.write(sshString(Buffer.concat([Buffer.from([kind]), ...fields])))
  })
}

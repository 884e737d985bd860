/** What ssh's own configuration says about a host: the output of `ssh -G`. */
import * as os from 'node:os'
import * as path from 'node:path'
import type { Execute } from '../../util/index.js'
import { UserError } from '../../util/index.js'

export interface SshConfig {
  readonly hostName: string
  readonly port: number
  /** Files with keys, in the order in which ssh tries them; `isChosen` says that the configuration names it. */
  readonly identityFiles: readonly { readonly file: string; readonly isChosen: boolean }[]
  readonly certificateFiles: readonly string[]
  /** The socket of the agent; undefined where there is none. */
  readonly agent: string | undefined
  /** Whether keys of the agent count only if a file has them, too. */
  readonly identitiesOnly: boolean
}

/**
 * Set for the ssh that evaluates its configuration for pkctl. With `Match exec "pkctl knock %h"` in it, ssh starts pkctl
 * again, which must not ask ssh in turn.
 */
const markVariable = 'PKCTL_READS_SSH_CONFIG'

/** Whether ssh has started this process while it evaluated its configuration for pkctl. */
export const evaluatesSshConfig = (): boolean => process.env[markVariable] !== undefined

const defaultPort = 22
const defaultNames = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk', 'id_xmss', 'id_dsa']
const defaultFiles = defaultNames.map(name => `~/.ssh/${name}`)

/** Where ssh is not installed, what it would say without a configuration. */
export async function readSshConfig(host: string, execute: Execute): Promise<SshConfig> {
  if (host.startsWith('-')) throw new UserError(`'${host}' is not the name of a host`)
  try {
    const { status, stdout, stderr } = await askSsh(host, execute)
    if (status !== 0) throw new UserError(`ssh -G ${host}: ${stderr.trim().split('\n').at(-1) ?? ''}`)
    return parseSshConfig(stdout, host)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return parseSshConfig('', host)
  }
}

/** The port that ssh takes for the host, which has these names. */
export async function sshPort(names: readonly string[], execute: Execute): Promise<number> {
  for (const name of new Set(names)) {
    const { port } = await readSshConfig(name, execute)
    if (port !== defaultPort) return port
  }
  return defaultPort
}

function askSsh(host: string, execute: Execute): ReturnType<Execute> {
  process.env[markVariable] = '1'
  try {
    return execute('ssh', ['-G', '--', host])
  } finally {
    Reflect.deleteProperty(process.env, markVariable)
  }
}

export function parseSshConfig(text: string, host: string): SshConfig {
  const lines = text.split('\n').map(line => {
    const [name = ''] = line.split(' ')
    return { name, value: line.slice(name.length + 1) }
  })
  const all = (wanted: string) => lines.flatMap(({ name, value }) => (name === wanted ? [value] : []))
  const first = (wanted: string) => all(wanted)[0]
  const hostName = first('hostname') ?? host
  const port = Number(first('port') ?? defaultPort)
  const expand = expander({ hostName, host, port: String(port), user: first('user') ?? os.userInfo().username })
  const files = first('identityfile') === undefined ? defaultFiles : all('identityfile')
  return {
    hostName,
    port,
    identityFiles: files
      .filter(file => file !== 'none')
      .map(file => ({ file: expand(file), isChosen: !defaultFiles.includes(file) })),
    certificateFiles: all('certificatefile')
      .filter(file => file !== 'none')
      .map(expand),
    agent: agentOf(first('identityagent'), expand),
    identitiesOnly: first('identitiesonly') === 'yes',
  }
}

/** The socket that a value of IdentityAgent names: a path, `none`, `SSH_AUTH_SOCK`, or a variable after a `$`. */
export function agentOf(value: string | undefined, expand: (text: string) => string): string | undefined {
  if (value === 'none') return undefined
  const variable = value === undefined || value === 'SSH_AUTH_SOCK' ? 'SSH_AUTH_SOCK' : /^\$(\w+)$/.exec(value)?.[1]
  const socket = variable === undefined ? expand(value ?? '') : process.env[variable]
  return socket === '' ? undefined : socket
}

interface Tokens {
  readonly hostName: string
  readonly host: string
  readonly port: string
  readonly user: string
}

/** Expands `~`, `${VARIABLE}` and the tokens of ssh_config(5) in a path: `ssh -G` prints them as they are written. */
export function expander({ hostName, host, port, user }: Tokens): (text: string) => string {
  const tokens: Readonly<Record<string, string>> = {
    '%': '%',
    d: os.homedir(),
    h: hostName,
    i: String(process.getuid?.() ?? ''),
    k: host,
    L: os.hostname().split('.')[0] ?? '',
    l: os.hostname(),
    n: host,
    p: port,
    r: user,
    u: os.userInfo().username,
  }
  return text => {
    const home = text === '~' || text.startsWith('~/') ? path.join(os.homedir(), text.slice(1)) : text
    return home
      .replace(/\$\{(\w+)\}/g, (whole, name: string) => process.env[name] ?? whole)
      .replace(/%(.)/g, (whole, token: string) => tokens[token] ?? whole)
  }
}

/**
 * The documents are true. Commands in blocks that are marked for it (see CONTRIBUTING.md) are run on a server and a
 * client of their own, as root would run them, and must print what the document shows; the rest is checked against the
 * program: commands, options, links, examples, the unit.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { before, describe, it } from 'node:test'
import { findHostEntry } from '../../src/client/hosts-file.js'
import { refusals } from '../../src/controller/verify/decision.js'
import type { Background } from '../support/commands.js'
import { dist, must, pkctl, program, root, run, until } from '../support/commands.js'
import { Lab } from '../support/lab.js'

const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'COMPATIBILITY.md', 'SECURITY.md']
  .concat(fs.readdirSync(path.join(root, 'docs')).map(name => `docs/${name}`))
  .filter(name => name.endsWith('.md'))
const textOf = (name: string) => fs.readFileSync(path.join(root, name), 'utf8')

// ---- blocks

interface Block {
  readonly document: string
  readonly line: number
  /** The heading, of the first or second level, that the block stands under. */
  readonly section: string
  readonly language: string
  /** What follows the language. */
  readonly words: readonly string[]
  readonly body: string
}

function blocksOf(document: string): Block[] {
  const blocks: Block[] = []
  let section = ''
  let open: { block: Omit<Block, 'body'>; indent: number; lines: string[] } | undefined
  for (const [i, text] of textOf(document).split('\n').entries()) {
    const [, indent = '', info] = /^( *)```(.*)$/.exec(text) ?? []
    if (info === undefined) {
      if (open) open.lines.push(text.slice(open.indent))
      else section = /^##? (.*)/.exec(text)?.[1] ?? section
    } else if (open) {
      blocks.push({ ...open.block, body: open.lines.map(line => `${line}\n`).join('') })
      open = undefined
    } else {
      const [language = '', ...words] = info.split(' ')
      open = { block: { document, line: i + 1, section, language, words }, indent: indent.length, lines: [] }
    }
  }
  assert.equal(open, undefined, `${document}: a block does not end`)
  return blocks
}

const blocks = documents.flatMap(blocksOf)
const placeOf = ({ document, line }: Block) => `${document}:${line}`

/** A session's commands, each with the output that is shown below it. */
function commandsIn(body: string): { command: string; output: string }[] {
  const commands: { command: string; output: string }[] = []
  for (const line of body.trimEnd().split('\n')) {
    const last = commands.at(-1)
    if (/^[#$] /.test(line)) commands.push({ command: line.slice(2), output: '' })
    else if (last) last.output += `${line}\n`
    else throw new Error(`output before the first command: ${line}`)
  }
  return commands
}

/** What differs from one run to the next, made the same. All else must be as it is shown. */
const vaguely = (text: string) =>
  text
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'TIME')
    .replace(/\d+\.\d ms/g, 'N ms')
    .replace(/(\d+ (h|min|s) ?)+left/g, 'N left')
    .replace(/process \d+, up .*/g, 'process N, up N')
    .replace(/packets: \d+ accepted, \d+ refused/g, 'packets: N accepted, N refused')
    .replace(/(knocked at \S+ port) \d+/g, '$1 N')
    .replace(/pk1:[\w-]{43}/g, 'pk1:IDENTITY')
    .replace(/key=[\w-]{43}/g, 'key=KEY')
    .replace(/SHA256:[\w+/]{43}/g, 'SHA256:FINGERPRINT')
    .replace(/(key fingerprint) [0-9a-f]{8}/g, '$1 FINGERPRINT')
    .replace(/its clock: \S+ s/g, 'its clock: N s')
    .replace(
      /by a rule of iptables-nft, because this kernel has no queue statement in nft/g,
      "by nft's queue statement",
    )
    .replace(/iptables-nft NFQUEUE/g, 'nft queue')
    .trimEnd()

// ---- machines

const serverAddress = '203.0.113.10'
const clientAddress = '198.51.100.7'

type Side = 'server' | 'client'

/** A server and a client with the addresses of the documents, and with directories that commands may write to. */
class Machines {
  daemon: Background | undefined
  readonly #keepers = new Map<Side, number>()

  private constructor(readonly lab: Lab) {}

  static async create(): Promise<Machines> {
    const machines = new Machines(await Lab.create())
    const { lab } = machines
    await must(['ip', '-n', lab.server, 'addr', 'add', `${serverAddress}/24`, 'dev', 's0'])
    await must(['ip', '-n', lab.client, 'addr', 'add', `${clientAddress}/24`, 'dev', 'c0'])
    await must(['ip', '-n', lab.server, 'route', 'add', '198.51.100.0/24', 'dev', 's0'])
    await must(['ip', '-n', lab.client, 'route', 'add', '203.0.113.0/24', 'dev', 'c0', 'src', clientAddress])
    await machines.#keep('server')
    await machines.#keep('client')
    for (const name of ['pkctl', 'pkctld', 'pktables'] as const) {
      lab.file(`bin/${name}`, `#!/bin/sh\nexec ${process.execPath} ${program(name)} "$@"\n`, 0o755)
    }
    // There is no sshd in the lab: what it would run there is run there, as root.
    const there = machines.#argv('server', ['"$@"']).join(' ')
    lab.file('bin/ssh', `#!/bin/sh\n[ "$1" = root@server.example ] || exit 255\nshift\nexec ${there}\n`, 0o755)
    await lab.serve(22)
    return machines
  }

  /** A process that holds a mount namespace in which /etc, /run, /var/lib and the home directory are the side's own. */
  async #keep(side: Side): Promise<void> {
    const own = path.join(this.lab.directory, side)
    const script = [
      `mkdir -p ${own}/etc ${own}/home`,
      // What is in /etc stays there by links, and takes no writing through it.
      `mount --bind -o ro /etc ${own}/etc`,
      'mount -t tmpfs tmpfs /etc',
      `ln -s ${own}/etc/* /etc && rm -f /etc/pkctl /etc/hosts`,
      `echo '${serverAddress} server.example' | cat ${own}/etc/hosts - >/etc/hosts`,
      'mount -t tmpfs tmpfs /run',
      'mount -t tmpfs tmpfs /var/lib',
      'echo ready',
      'exec sleep infinity',
    ]
    const argv = ['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-ec', script.join('\n')]
    const keeper = this.lab.start(side, argv)
    await keeper.says(/ready/)
    this.#keepers.set(side, keeper.child.pid as number)
  }

  #argv(side: Side, argv: readonly string[]): string[] {
    const { directory } = this.lab
    const environment = [`HOME=${directory}/${side}/home`, `PATH=${directory}/bin:${process.env['PATH']}`]
    const enter = ['nsenter', `--target=${this.#keepers.get(side)}`, '--mount', '--net']
    return [...enter, '/usr/bin/env', '--unset=XDG_CONFIG_HOME', ...environment, ...argv]
  }

  /** What a shell there prints, stderr included. */
  async shell(side: Side, command: string): Promise<string> {
    return (await run(this.#argv(side, ['bash', '-c', `exec 2>&1\n${command}`]))).stdout
  }

  async write(side: Side, file: string, content: string): Promise<void> {
    const target = file.replace(/^~(?=\/)/, '"$HOME"')
    const command = `umask 077; mkdir -p "$(dirname ${target})" && cat >${target}`
    await must(this.#argv(side, ['bash', '-c', command]), { input: content })
  }

  /** Starts the daemon; its log is text, as it would be on a terminal. */
  async background(side: Side, command: string): Promise<Background> {
    await this.write(side, '/etc/pkctl/conf.d/terminal.yaml', 'log: { format: text }\n')
    this.daemon = this.lab.start(side, this.#argv(side, ['bash', '-c', `exec ${command}`]))
    return this.daemon
  }

  /** Waits until the daemon has said these lines. */
  async said(lines: string): Promise<void> {
    const { daemon } = this
    assert.ok(daemon, 'no daemon was started before its log is shown')
    const wanted = vaguely(lines).split('\n')
    const missing = () => wanted.filter(line => !vaguely(daemon.output).split('\n').includes(line))
    await until(() => missing().length === 0).catch(() => {
      assert.fail(`the daemon did not say:\n${missing().join('\n')}\nbut:\n${daemon.output}`)
    })
  }

  /** The server and the client as docs/getting-started.md sets them up, with the daemon. */
  async setUp(): Promise<void> {
    const key = 'a key of the documents\n'
    await this.write('server', '/etc/pkctl/keys/laptop', key)
    await this.write('client', '~/.config/pkctl/home.key', key)
    const files = blocks.filter(({ document, words }) => document === 'docs/getting-started.md' && words.length > 1)
    for (const { language, words, body } of files) {
      if (language === 'yaml') await this.write(words[0] as Side, words[1] as string, body)
    }
    await this.background('server', 'pkctld')
    await this.daemon?.says(/listening on queue/)
  }

  async follow(block: Block): Promise<void> {
    const [side, what] = block.words as [Side, string | undefined]
    const { language, body } = block
    if (language === 'yaml') {
      assert.ok(what, `${placeOf(block)}: which file?`)
      await this.write(side, what, body)
    } else if (what === 'log') await this.said(body)
    else {
      for (const { command, output } of commandsIn(body)) {
        if (what === 'background') {
          await this.background(side, command)
          await this.said(output)
        } else assert.equal(vaguely(await this.shell(side, command)), vaguely(output), `${placeOf(block)}: ${command}`)
      }
    }
  }
}

describe('the commands of the documents', () => {
  const marked = blocks.filter(({ words }) => words[0] === 'server' || words[0] === 'client')
  const sections = [...new Set(marked.map(({ document, section }) => `${document}, ${section}`))]

  it('are there', () => {
    assert.ok(sections.includes('README.md, pkctl'), sections.join('; '))
    assert.ok(sections.includes('docs/getting-started.md, One knock, from beginning to end'), sections.join('; '))
    assert.ok(sections.length >= 5)
  })

  for (const title of sections) {
    it(title, async () => {
      const machines = await Machines.create()
      try {
        if (/^(?:README|docs\/client|docs\/operating)\.md/.test(title)) await machines.setUp()
        for (const block of marked.filter(each => `${each.document}, ${each.section}` === title)) {
          await machines.follow(block)
        }
      } finally {
        await machines.lab.remove()
      }
    })
  }
})

it('docs/architecture.md draws the base chains with the hooks and priorities that they have', async () => {
  const text = textOf('docs/architecture.md')
  const drawn = [...text.matchAll(/base chain (\w+)-HOOK \((?:priority )?(-?\d+)\)/g)]
  assert.equal(drawn.length, 2)
  const [, withoutStatement] = /knock-HOOK is at (-\d+)/.exec(text) ?? []
  const machines = await Machines.create()
  try {
    await machines.setUp()
    const listed = JSON.parse(await machines.shell('server', 'nft -j list table inet pkctl')) as {
      nftables: { chain?: { name: string; prio?: number } }[]
    }
    const made = listed.nftables.flatMap(({ chain }) => (chain?.prio === undefined ? [] : [[chain.name, chain.prio]]))
    const isNative = /^queue \d+: nft queue/m.test(await machines.shell('server', 'pkctl status'))
    const expected = drawn.map(([, name, priority]) => [
      `${name}-input`,
      Number(name === 'knock' && !isNative ? withoutStatement : priority),
    ])
    assert.deepEqual(expected.sort(), made.sort())
  } finally {
    await machines.lab.remove()
  }
})

// ---- names

/** The options of each command, as its help tells them. */
async function readProgram(): Promise<Map<string, { options: Set<string>; help: string }>> {
  const help = async (...command: string[]) => must([process.execPath, pkctl, 'help', ...command])
  const optionsIn = (text: string) => new Set(text.match(/(?<=^ {2}(?:-\w, )?)--?[\w-]+|(?<=^ {2})-\w(?=, )/gm))
  const overview = await help()
  const lists = /^Services and grants:\n(.*?)^Examples:/ms.exec(overview)?.[1] ?? ''
  const names = [...lists.matchAll(/^ {2}([a-z]+) {2}/gm)].map(([, n]) => n)
  const program = new Map([['', { options: optionsIn(overview), help: overview }]])
  for (const name of names) {
    if (name === undefined || name === 'help') continue
    const text = await help(name)
    program.set(name, { options: optionsIn(text), help: text })
    for (const [, inner = ''] of (/Commands:\n(.*)/s.exec(text)?.[1] ?? '').matchAll(/^ {2}([a-z]+) /gm)) {
      if (inner === 'help') continue
      const its = await must([process.execPath, pkctl, name, inner, '--help'])
      program.set(`${name} ${inner}`, { options: optionsIn(its), help: its })
    }
  }
  return program
}

/** Calls of pkctl in code: the words behind its name, up to where the shell would end the command. */
function callsIn(code: string): string[][] {
  return [...code.matchAll(/(?<![\w/.~-])(pkctld?)((?: +[^\s|&;)>"`]+)*)/g)].map(([, name, rest = '']) => {
    const words = rest.trim().split(/ +/).filter(Boolean)
    return name === 'pkctld' ? ['daemon', ...words] : words
  })
}

/** Everything in a document that is code: blocks that show commands, and what stands between backticks. */
function codeIn(document: string): string[] {
  const shown = blocks.filter(
    block => block.document === document && ['sh', 'console', 'ssh-config'].includes(block.language),
  )
  const lines = shown.flatMap(({ language, body }) =>
    body
      .split('\n')
      .filter(line => language !== 'console' || /^[#$] /.test(line))
      .map(line => line.replace(/^[#$] /, '')),
  )
  const prose = textOf(document).replace(/^ *```.*?^ *```$/gms, '')
  return [
    ...lines.filter(line => /\bpkctld?\b/.test(line)),
    ...[...prose.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code),
  ]
}

describe('what the documents name', () => {
  let program: Awaited<ReturnType<typeof readProgram>>

  before(async () => {
    program = await readProgram()
  })

  function checkCall(words: readonly string[], where: string): void {
    const [first = '', second = ''] = words.filter(word => !word.startsWith('-'))
    const name = program.has(`${first} ${second}`) ? `${first} ${second}` : first
    if (/^[A-Z…]/.test(name) || name === 'help' || name === '…') return
    const command = program.get(name)
    assert.ok(command, `${where}: there is no command ${name}`)
    for (const option of words.filter(word => /^--?[a-z0-9]/.test(word)).map(word => word.replace(/[=,.].*/, ''))) {
      assert.ok(command.options.has(option), `${where}: pkctl ${name} has no option ${option}`)
    }
  }

  it('the program has its commands and options', () => {
    for (const name of ['', 'init', 'knock', 'daemon']) assert.ok(program.has(name), name)
    for (const { options } of program.values()) assert.ok(options.has('--help'))
  })

  for (const document of documents) {
    it(`${document}: each call of pkctl has a command and options that exist`, () => {
      for (const code of codeIn(document)) {
        for (const words of callsIn(code)) checkCall(words, `${document}: ${code}`)
      }
    })
  }

  it('options that are named alone belong to some command', () => {
    const all = new Set([...program.values()].flatMap(({ options }) => [...options]))
    for (const document of documents.filter(name => !['CHANGELOG.md', 'COMPATIBILITY.md'].includes(name))) {
      for (const code of codeIn(document).filter(text => /^--?[a-z]/.test(text))) {
        const option = code.replace(/[ =].*/, '')
        assert.ok(all.has(option), `${document}: no command has ${option}`)
      }
    }
  })

  it('the examples of the help texts are right', () => {
    for (const [name, { help }] of program) {
      const examples = help.split('\n').filter(line => /^ {2}pkctl /.test(line))
      for (const line of examples) for (const words of callsIn(line.replace(/ {3,}.*/, ''))) checkCall(words, name)
    }
  })

  it('every command is in the table of docs/commands.md, every option of knock and connect in docs/client.md', () => {
    const rows = [...textOf('docs/commands.md').matchAll(/^\| `pkctl (\w+)`/gm)].map(([, name]) => name)
    assert.deepEqual(rows.sort(), [...program.keys()].filter(name => /^\w+$/.test(name)).sort())
    const options = ['knock', 'connect'].flatMap(name => [...(program.get(name)?.options ?? [])])
    for (const option of options) {
      if (['-h', '--help', '--verbose'].includes(option)) continue
      assert.ok(textOf('docs/client.md').includes(`\`${option}`), option)
    }
  })

  it('docs/operating.md explains every reason for which a knock is refused', () => {
    const explained = [...textOf('docs/operating.md').matchAll(/^\| `([a-z-]+)` .*\| (?:debug|info) +\|$/gm)].map(
      ([, name]) => name,
    )
    assert.deepEqual(explained, [...refusals])
  })

  it('npm scripts that are named exist', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }
    const named = documents.flatMap(name => [...textOf(name).matchAll(/npm (?:run ([a-z:]+)|(test))/g)])
    assert.ok(named.length > 5)
    for (const [, script, test] of named) {
      const file = /^bash (\S+)/.exec(scripts[script ?? test ?? ''] ?? assert.fail(`npm run ${script}`))?.[1]
      assert.ok(file === undefined || fs.existsSync(path.join(root, file)) || !fs.existsSync(`${root}/scripts`), file)
    }
  })
})

// ---- files

describe('files that the documents name', () => {
  const folders = ['src', 'test', 'scripts', 'templates', 'docs', '.ci']
  for (const document of documents) {
    it(`exist: ${document}`, () => {
      for (const [file] of textOf(document).matchAll(/(?<![\w/.~-])(?:src|test|scripts|templates|docs)\/[\w./-]*\w/g)) {
        // NAME and ID stand for what the reader chooses.
        if (folders.some(folder => file === folder) || /\b(NAME|ID)\b/.test(file)) continue
        assert.ok(fs.existsSync(path.join(root, file)), `${document}: ${file}`)
      }
    })
  }

  it('exist also without their folder, in one that the paragraph names, or above it: CONTRIBUTING.md', () => {
    let found = 0
    for (const paragraph of textOf('CONTRIBUTING.md').split(/\n(?=\d+\. |- |\n)/)) {
      const named = [...paragraph.matchAll(/`((?:src|test|scripts)\/[\w./-]*)`/g)].map(([, file = '']) =>
        path.dirname(file),
      )
      const folders = named.flatMap(folder => [folder, path.dirname(folder)])
      for (const [, file = ''] of paragraph.matchAll(/`([a-z][\w-]+\.(?:ts|js|sh))`/g)) {
        const isThere = folders.some(folder => fs.existsSync(path.join(root, folder, file)))
        assert.ok(isThere, `${file}: ${paragraph}`)
        found++
      }
    }
    assert.ok(found > 0)
  })

  it('README.md has less than 150 lines', () => {
    assert.ok(textOf('README.md').split('\n').length < 150)
  })

  it('docs/README.md links each document', () => {
    for (const document of documents.filter(name => name.startsWith('docs/') && name !== 'docs/README.md')) {
      assert.ok(textOf('docs/README.md').includes(`](${path.basename(document)})`), document)
    }
  })

  it('docs/packet-path.svg is drawn from docs/packet-path.txt', async () => {
    const { status, stderr } = await run([process.execPath, path.join(root, 'scripts/draw-packet-path.js'), '--check'])
    assert.equal(status, 0, stderr)
  })
})

// ---- links

/** Names of headings as they are used in links. */
const anchorsOf = (document: string) =>
  [...textOf(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )

describe('links', () => {
  for (const document of documents) {
    it(`of ${document} lead somewhere`, () => {
      const prose = textOf(document).replace(/^ *```.*?^ *```$/gms, '')
      for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue
        const [file = '', anchor] = target.split('#')
        const other = file === '' ? document : path.join(path.dirname(document), file)
        assert.ok(fs.existsSync(path.join(root, other)), `${document}: ${target}`)
        if (anchor !== undefined) assert.ok(anchorsOf(other).includes(anchor), `${document}: ${target}`)
      }
    })
  }
})

// ---- examples

describe('examples', () => {
  const examples = blocks.filter(({ language, words }) => language === 'yaml' && !words.includes('broken'))
  const isPlaces = ({ words }: Block) => words[1]?.endsWith('hosts.yaml') ?? false

  /** Checks a configuration in a directory of its own, in which the key files that it names are. */
  async function check(content: string): Promise<{ stdout: string; stderr: string }> {
    const directory = fs.mkdtempSync('/tmp/pkctl-documents-')
    try {
      const text = content.replaceAll('/etc/pkctl', directory)
      for (const [, file = ''] of text.matchAll(/(?:key|secret|password)-file: ([^\s},]+)/g)) {
        const target = path.resolve(directory, file)
        fs.mkdirSync(path.dirname(target), { recursive: true })
        fs.writeFileSync(target, `0x${'5a'.repeat(32)}\n`, { mode: 0o600 })
      }
      for (const [, file = ''] of text.matchAll(/ca-file: ([^\s},]+)/g))
        fs.writeFileSync(path.resolve(directory, file), '-----BEGIN CERTIFICATE-----\n')
      fs.writeFileSync(`${directory}/pkctl.yaml`, text, { mode: 0o600 })
      if (/type: (?:symmetric|ssh)/.test(text)) await addKeys(directory, text)
      return await run([process.execPath, pkctl, 'check', '--config', `${directory}/pkctl.yaml`])
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  }

  /** The server's key, and public keys of OpenSSH in the files that are named for them. */
  async function addKeys(directory: string, text: string): Promise<void> {
    const state = `${directory}/state`
    await must([process.execPath, pkctl, 'keygen', '--server', '--state-directory', state])
    fs.appendFileSync(`${directory}/pkctl.yaml`, `\nstate-directory: ${state}\n`)
    for (const [, file = ''] of text.matchAll(/(?:ca|authorized)-keys: ([^\s~[\]}]+)/g)) {
      const target = path.resolve(directory, file)
      fs.mkdirSync(path.dirname(target), { recursive: true })
      await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'one', '-f', `${directory}/key`])
      fs.renameSync(`${directory}/key.pub`, target)
    }
    for (const [, file = ''] of text.matchAll(/revoked-keys: ([^\s~[\]}]+)/g))
      fs.writeFileSync(path.resolve(directory, file), '')
  }

  for (const example of examples.filter(block => !isPlaces(block))) {
    it(`${placeOf(example)} is a valid configuration`, async () => {
      const { stdout, stderr } = await check(example.body)
      assert.equal(stderr, '')
      assert.match(stdout, /is valid: [1-9]\d* services?, [1-9]\d* credentials?/)
    })
  }

  it('places can be knocked at', async () => {
    const help = await must([process.execPath, pkctl, 'help', 'knock'])
    const shown = /A host entry in hosts\.yaml:\n(.*?)\n\n/s.exec(help)?.[1] ?? assert.fail('no example in the help')
    const file = path.join(fs.mkdtempSync('/tmp/pkctl-documents-'), 'hosts.yaml')
    try {
      for (const text of [...examples.filter(isPlaces).map(({ body }) => body), shown]) {
        fs.writeFileSync(file, text)
        const names = [...text.matchAll(/^ {0,2}(\w+):$/gm)].map(([, name = '']) => name)
        assert.ok(names.length > 0)
        for (const name of names) assert.ok(findHostEntry(name, file)?.host, name)
      }
    } finally {
      fs.rmSync(path.dirname(file), { recursive: true })
    }
  })
})

describe('examples of ssh_config', () => {
  const examples = blocks.filter(({ language }) => language === 'ssh-config')

  it('are there', () => assert.ok(examples.length > 2))
  for (const example of examples) {
    it(`${placeOf(example)} says to ssh what it is to say`, async () => {
      const directory = fs.mkdtempSync('/tmp/pkctl-documents-')
      try {
        const file = path.join(directory, 'config')
        fs.writeFileSync(file, example.body, { mode: 0o600 })
        const called = path.join(directory, 'called')
        fs.writeFileSync(path.join(directory, 'pkctl'), `#!/bin/sh\necho "$@" >${called}\n`, { mode: 0o755 })
        const [, host = '', command] = /^(?:Host|Match host) (\S+)(?:.* exec "pkctl (.*)")?/.exec(example.body) ?? []
        const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}` }
        const { status, stdout, stderr } = await run(['ssh', '-G', '-F', file, host], { env })
        assert.equal(status, 0, stderr)
        const options = [...example.body.matchAll(/^ +(\w+) (.*)$/gm)]
        assert.ok(options.length > 0 || command !== undefined)
        for (const [, name = '', value = ''] of options)
          assert.ok(stdout.includes(`${name.toLowerCase()} ${value}\n`), name)
        if (command !== undefined) assert.equal(fs.readFileSync(called, 'utf8'), `${command}\n`)
      } finally {
        fs.rmSync(directory, { recursive: true })
      }
    })
  }
})

// ---- installation

describe('the installation by hand', () => {
  const commands = blocks.filter(({ words }) => words[0] === 'install').flatMap(({ body }) => body.trim().split('\n'))

  /** Runs the last of the commands on a copy of the project, with another prefix than /usr/local. */
  async function install(context: TestContext, directory: string): Promise<string> {
    const prefix = path.join(directory, 'prefix')
    const copy = path.join(directory, 'clone')
    fs.mkdirSync(path.join(copy, 'dist'), { recursive: true })
    for (const name of ['package.json', 'README.md', 'CHANGELOG.md', 'SECURITY.md', 'docs', 'templates']) {
      fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
    }
    fs.cpSync(path.join(dist, 'src'), path.join(copy, 'dist/src'), { recursive: true })
    const command = (commands.at(-1) ?? '').replace('/usr/local', prefix)
    assert.match(command, /^npm install --global --prefix \/tmp\//)
    const options = { cwd: copy, env: { npm_config_offline: 'true' } }
    const { status, stderr } = await run(['bash', '-c', command], options)
    if (status === 0) return prefix
    assert.match(stderr, /ENOTCACHED/)
    context.diagnostic("npm's cache lacks a package: installed by unpacking instead")
    const target = path.join(prefix, 'lib/node_modules/pkctl')
    fs.rmSync(prefix, { recursive: true, force: true })
    fs.mkdirSync(target, { recursive: true })
    await must(['bash', '-c', `tar -xzf "$(npm pack --silent)" --strip-components=1 -C ${target}`], options)
    fs.symlinkSync(path.join(root, 'node_modules'), path.join(target, 'node_modules'))
    fs.mkdirSync(path.join(prefix, 'bin'))
    const { bin } = JSON.parse(textOf('package.json')) as { bin: Record<string, string> }
    for (const [name, file] of Object.entries(bin)) {
      fs.chmodSync(path.join(target, file), 0o755)
      fs.symlinkSync(path.join(target, file), path.join(prefix, 'bin', name))
    }
    return prefix
  }

  it('installs programs that run, where the unit looks for them, with the powers that it leaves', async context => {
    assert.deepEqual(commands.slice(0, -1), ['npm ci', 'npm run build'])
    const directory = fs.mkdtempSync('/tmp/pkctl-documents-')
    const lab = await Lab.create()
    try {
      const prefix = await install(context, directory)
      const { version } = JSON.parse(textOf('package.json')) as { version: string }
      assert.equal((await must([`${prefix}/bin/pkctl`, '--version'])).trim(), version)
      assert.match(await must([`${prefix}/bin/pkctld`, '--help']), /SIGHUP/)

      const unit = textOf('templates/pkctld.service').replaceAll('=/usr/bin/', `=${prefix}/bin/`)
      for (const [, file = ''] of unit.matchAll(/^(?:Exec\w+=|Documentation=file:\/\/)(\S+)/gm)) {
        assert.ok(fs.existsSync(file), file)
      }
      const file = path.join(directory, 'pkctld.service')
      fs.writeFileSync(file, unit)
      const { status, stderr } = await run(['systemd-analyze', '--man=no', 'verify', file]).catch(() => {
        context.diagnostic('there is no systemd-analyze here, and the unit was not verified')
        return { status: 0, stderr: '' }
      })
      assert.equal(status, 0, stderr)
      // It looks at the units around this one as well.
      assert.doesNotMatch(stderr, /pkctld/)

      const powers = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.toLowerCase().replaceAll('cap_', '+').split(' ')
      const argv = ['setpriv', `--bounding-set=-all,${powers?.join(',')}`, '--no-new-privs', `${prefix}/bin/pkctld`]
      const config = lab.config('services: { ssh: { port: 22 } }')
      const daemon = lab.start('server', [...argv, '--config', config])
      await daemon.says(/listening on queue/)
      assert.match(await lab.mustPkctl('status'), /ssh \(0 granted\)/)
      assert.equal(await daemon.stop(), 0)
    } finally {
      await lab.remove()
      fs.rmSync(directory, { recursive: true })
    }
  })

  it('puts the units in place, with the programs where npm has them, and what they need', async () => {
    const shown = blocks.filter(({ words }) => words[0] === 'units').flatMap(({ body }) => body.trim().split('\n'))
    assert.ok(shown.length > 4)
    const directory = fs.mkdtempSync('/tmp/pkctl-documents-')
    try {
      // Only what is written is looked at: users and directories are made on a copy of a system by packages.test.ts.
      for (const name of ['etc/sysusers.d', 'etc/tmpfiles.d', 'etc/systemd/system']) {
        fs.mkdirSync(path.join(directory, name), { recursive: true })
      }
      const commands = shown.filter(command => !command.startsWith('systemd-'))
      await must(['bash', '-ec', commands.join('\n').replaceAll(/(?<=[ >])\/etc\//g, `${directory}/etc/`)], {
        cwd: root,
      })
      for (const unit of ['pkctld', 'pkctl-rules']) {
        const text = fs.readFileSync(path.join(directory, 'etc/systemd/system', `${unit}.service`), 'utf8')
        assert.match(text, /^ExecStart=\/usr\/local\/bin\/pkctl/m)
        assert.doesNotMatch(text, /=\/usr\/bin/)
      }
      for (const command of shown.filter(each => each.startsWith('systemd-'))) {
        const file = command.split(' ').at(-1) as string
        assert.ok(fs.existsSync(`${directory}${file}`), file)
      }
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  })

  it("the unit's directories are those of the configuration's defaults", () => {
    const unit = textOf('templates/pkctld.service')
    const template = textOf('templates/pkctl.yaml')
    assert.match(unit, /^RuntimeDirectory=pkctl$/m)
    assert.match(template, /path: \/run\/pkctl\//)
    assert.match(unit, /^StateDirectory=pkctl$/m)
    assert.match(template, /state-directory: \/var\/lib\/pkctl$/m)
  })
})

it('docs/installation.md shows units that systemd understands', async context => {
  const units = blocks.filter(({ words }) => words[0] === 'unit')
  assert.ok(units.length >= 2)
  const directory = fs.mkdtempSync('/tmp/pkctl-documents-')
  try {
    for (const { words, body } of units) {
      // The program is one that is there.
      const text = body.replace('/usr/local/bin/start-backup', '/bin/true')
      fs.writeFileSync(path.join(directory, words[1] as string), text)
    }
    const files = units.map(({ words }) => path.join(directory, (words[1] as string).replace('@.', '@1.')))
    const { status, stderr } = await run(['systemd-analyze', 'verify', ...files]).catch(() => {
      context.diagnostic('there is no systemd-analyze here, and the units were not verified')
      return { status: 0, stderr: '' }
    })
    assert.equal(status, 0, stderr)
    assert.doesNotMatch(stderr, /pkctl-backup/)
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})

/**
 * The main job, shown step by step with real packets, for people; exits 0 only if each step really happened.
 * Everything lives in two network namespaces, which are gone at the end, also after Ctrl-C.
 */
import type { Result } from './support/commands.js'
import { must, pkctl, run, sleep } from './support/commands.js'
import { knockHex } from './support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from './support/lab.js'
import type { Outcome, Step } from './support/peer.js'

const key = 'correct horse battery staple'
const windowSeconds = 4
/** The knock that is captured and sent again goes to this port. */
const port = 40_000

class StepFailed extends Error {}

const say = (text: string) => process.stdout.write(`${text}\n`)
const indent = (text: string) => text.trimEnd().replace(/^/gm, '      ')

let number = 0
const step = (title: string) => say(`\n${++number}. ${title}`)

function shown(command: string, { status, stdout, stderr }: Result): void {
  say(`   # ${command}`)
  if (stdout + stderr !== '') say(indent(stdout + stderr))
  if (status !== 0) throw new StepFailed(`${command}: exit ${status}`)
}

/** Takes steps on the client; the last one must come out as told. */
async function expect(lab: Lab, want: Outcome['result'], what: string, ...steps: Step[]): Promise<void> {
  const last = (await lab.peer(...steps)).at(-1)
  if (last?.result !== want) throw new StepFailed(`${what}: expected ${want}, and it was ${last?.result}`)
  const time = want === 'open' ? ` after ${last.milliseconds.toFixed(1)} ms` : ''
  say(`   ${what}: ${want === 'timeout' ? 'no answer, the port is closed' : `${want}${time}`}`)
}

async function showMainJob(lab: Lab): Promise<void> {
  const cli = (...args: string[]) => lab.pkctl(...args).then(result => shown(`pkctl ${args.join(' ')}`, result))

  step('A server with a service on port 22; so far, anybody may connect')
  await lab.serve(22)
  await expect(lab, 'open', 'connect', { connect: { host: server4, port: 22 } })

  step('Close the port for all but those who knock')
  await cli('init', 'ssh', '--port', '22', '--syn', '--window', String(windowSeconds))
  await expect(lab, 'timeout', 'connect', { connect: { host: server4, port: 22, from: client4 } })

  step('Start the daemon; only knocks leave the kernel, and it answers them')
  const config = lab.config(
    `credentials:\n  laptop: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh], skew: 60 }`,
    'log: { level: info, format: text }',
  )
  const daemon = await lab.daemon(config)
  say(
    indent(
      daemon.output
        .split('\n')
        .filter(line => line.includes('listening'))
        .join('\n'),
    ),
  )

  for (const [family, host, source, stranger] of [
    ['IPv4', server4, client4, stranger4],
    ['IPv6', server6, client6, stranger6],
  ] as const) {
    const knock = { host, port, from: source, hex: knockHex({ key, port }) }
    step(`${family}: knock from ${source}, and connect at once, with no pause between`)
    await expect(lab, 'open', 'knock, connect', { send: knock }, { connect: { host, port: 22, from: source } })
    if (family === 'IPv4') {
      await cli('list')
      await cli('status')
    }

    step(`${family}: another source, ${stranger}, is still refused`)
    await expect(lab, 'timeout', 'connect', { connect: { host, port: 22, from: stranger } })

    step(`${family}: it has captured the knock, and sends it again`)
    const replay = { ...knock, from: stranger }
    await expect(
      lab,
      'timeout',
      'the same knock, connect',
      { send: replay },
      { connect: { host, port: 22, from: stranger } },
    )
    await daemon.says(/replayed/)

    step(`${family}: after ${windowSeconds} seconds the kernel closes the door again by itself`)
    await sleep((windowSeconds + 0.5) * 1000)
    await expect(lab, 'timeout', 'connect', { connect: { host, port: 22, from: source } })
  }

  step('The same with the command that a user has')
  const { status, stdout, stderr } = await lab.from(
    [process.execPath, pkctl, 'knock', server4, '--tag', 'SSHK', '--key-env', 'KNOCK_KEY', '--connect', '22'],
    { env: { KNOCK_KEY: key } },
  )
  shown(`pkctl knock ${server4} --tag SSHK --key-env KNOCK_KEY --connect 22`, { status, stdout, stderr })

  step('What the daemon had to say')
  await cli('status')
  await daemon.stop()
  say(
    indent(
      daemon.output
        .split('\n')
        .filter(line => / (info|warn) +(knock|stopped)/.test(line))
        .join('\n'),
    ),
  )

  step('Take the service away: everything is as it was')
  await cli('remove', 'ssh')
  const left = await lab.on(['nft', 'list', 'ruleset'])
  if (/\S/.test(left.stdout)) throw new StepFailed(`something was left in the ruleset:\n${left.stdout}`)
  say('   nft list ruleset: empty')
}

/** What the machine's own firewall says; it must say the same before and after. */
const ownRuleset = async () => (await run(['nft', 'list', 'ruleset'])).stdout.replace(/packets \d+ bytes \d+/g, '')

if (process.getuid?.() !== 0) {
  process.stderr.write('pkctl demo: run this as root: it makes network namespaces of its own\n')
  process.exit(1)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
await must(['nft', '--version'])
const before = await ownRuleset()
const lab = await Lab.create()
try {
  await showMainJob(lab)
  if ((await ownRuleset()) !== before) throw new StepFailed("the machine's own ruleset has changed")
  say('\nEach step happened as told.')
} catch (error) {
  process.stderr.write(`\npkctl demo: ${error instanceof StepFailed ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  await lab.remove()
}

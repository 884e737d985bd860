import { Command } from 'commander'
import type { Session } from '../../safety/index.js'
import { findSession } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import { durationText, defaultConfig, oneLine, timeText, usageError, UserError } from '../../util/index.js'
import { foreignFindings } from '../../doctor/index.js'
import { flagDefaults, serviceSpec } from '../flags/service-flags.js'
import { checkServiceName, parseSeconds } from '../flags/flag-values.js'
import { forFlag } from '../flags/lockout-flags.js'
import { hostOf } from '../server/make-invitation.js'
import { jsonText } from '../output/json-output.js'
import { logChange } from '../changes/log-change.js'
import type { SetupOutcome } from '../setup/carry-out.js'
import { carryOut } from '../setup/carry-out.js'
import type { ListeningProgram } from '../setup/listeners.js'
import { findListeners } from '../setup/listeners.js'
import type { Answers, SetupPlan } from '../setup/plan.js'
import { parseServicePort, planFor, planLines } from '../setup/plan.js'
import type { Ask, ServicePort } from '../setup/questions.js'
import { askKnocker, askService, askYesOrNo, nameOfService, terminalQuestions } from '../setup/questions.js'
import type { Knocker } from '../setup/user-keys.js'
import { localUser, userWithKey } from '../setup/user-keys.js'

interface Flags {
  readonly service?: string
  readonly user?: string
  readonly key?: string
  readonly allowMe?: boolean
  /** Seconds. */
  readonly for?: number
  readonly start?: boolean
  readonly host?: string
  /** False for --no-confirm. */
  readonly confirm: string | false
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
  readonly config: string
}

const help = `
Asks which port to close, who knocks, and whether to keep your address in. Shows the plan, asks whether to start, and carries
it out: a file of the configuration, the keys of the user, the closed port. Prints the line for the client.
All is undone after the time of --confirm, unless you run pkctl confirm. With --yes, there are no questions: a flag gives
the answer, or setup takes what it proposes.

Examples:
  pkctl setup
  pkctl setup --yes --user alice --key alice.pub --host server.example
  pkctl setup --service web=8080 --dry-run`

export function setupCommand(terminal: Terminal): Command {
  return new Command('setup')
    .description('close a port for all but those who knock: asks at most four questions')
    .option('--service <service>', 'the service and its TCP port: ssh=22 (default: where sshd listens)')
    .option('--user <user>', 'the user who knocks (default: you), with the keys of the account on this machine')
    .option('--key <file>', "file with the user's public key, or the key itself, or - for stdin: needs no account")
    .option('--allow-me', 'grant the address of your ssh session access, without a time limit')
    .option('--no-allow-me', 'do not grant it')
    .addOption(forFlag())
    .option('--start', 'start the daemon, and enable it for each boot')
    .option('--no-start', 'do not start it')
    .option('--host <host>', 'name or address of this server, as clients reach it')
    .option('--confirm <time>', 'undo all unless pkctl confirm follows within 1s to 1d', '5m')
    .option('--no-confirm', 'keep the change without pkctl confirm')
    .option('--yes', 'ask nothing')
    .option('--dry-run', 'show the plan and change nothing')
    .option('--json', 'print one JSON object; needs --yes or --dry-run')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', help)
    .action((flags: Flags) => setup(terminal, flags))
}

async function setup(terminal: Terminal, flags: Flags): Promise<void> {
  if (flags.json && !flags.yes && !flags.dryRun) throw usageError('--json takes no answers', 'add --yes')
  if (!flags.dryRun && process.geteuid?.() !== 0)
    throw new UserError('pkctl setup changes this machine', 'run it as root')
  const questions = flags.yes || flags.dryRun ? undefined : terminalQuestions()
  try {
    const plan = planFor(await answersFor(terminal, flags, questions?.ask), flags.config)
    if (!flags.json) {
      terminal.out(terminal.strong('The plan:'))
      for (const line of planLines(plan)) terminal.out(`  ${line}`.trimEnd())
    }
    await warnOfForeignRules(terminal, plan)
    const go = plan.start ? 'Close the port, and start pkctld now and at each boot?' : 'Close the port now?'
    if (questions && !(await askYesOrNo(questions.ask, terminal, go, true))) throw new UserError('nothing was changed')
    if (!flags.dryRun) {
      const outcome = await carryOut(terminal, plan)
      const { service, port, knocker } = plan
      const sentence = `pkctl setup has closed port ${port} (${service}); a knock of ${knocker.name} opens it`
      await logChange(outcome.applied.socket, sentence, { action: 'setup', service, user: knocker.name })
      report(terminal, flags, plan, outcome)
    } else if (flags.json) terminal.out(jsonText({ changed: true, 'dry-run': true, ...planJson(plan) }))
    else terminal.out('nothing was changed: --dry-run')
  } finally {
    questions?.end()
  }
}

/** pkctl can close a port, and cannot open one that another firewall closes. */
async function warnOfForeignRules(terminal: Terminal, { service, port }: SetupPlan): Promise<void> {
  const spec = serviceSpec(service, { ...flagDefaults, port: [String(port)], syn: true })
  for (const { message, advice } of await foreignFindings(spec)) {
    terminal.warn(oneLine(message))
    terminal.hint(oneLine(advice))
  }
}

/** Of the flags, of the user, or as proposed. */
async function answersFor(terminal: Terminal, flags: Flags, ask: Ask | undefined): Promise<Answers> {
  const session = findSession()
  const confirmWithin = flags.confirm === false ? undefined : parseSeconds('--confirm', flags.confirm)
  if (flags.key !== undefined && flags.user === undefined) throw usageError('--key needs --user')
  const host = hostOf(flags.host ?? addressFor(session))
  const { service, port } = await serviceFor(terminal, flags, ask, session)
  const knocker = await knockerFor(terminal, flags, ask)
  const howLong = timeText(flags.for ?? null)
  const keep = `Grant the address of your ssh session access, ${session?.address ?? ''}, ${howLong}?`
  const allowMe =
    flags.allowMe ?? (ask && session ? await askYesOrNo(ask, terminal, keep, true) : session !== undefined)
  const start = flags.start ?? true
  if (flags.for !== undefined && !allowMe) throw usageError('--for is for --allow-me, which is missing')
  return { service, port, knocker, allowMe, allowMeFor: flags.for, start, host, confirmWithin }
}

/** The address by which the session reached this machine, if it has no name that others can know. */
function addressFor(session: Session | undefined): string | undefined {
  try {
    return hostOf(undefined)
  } catch {
    return session?.localAddress
  }
}

async function serviceFor(
  terminal: Terminal,
  flags: Flags,
  ask: Ask | undefined,
  session: Session | undefined,
): Promise<ServicePort> {
  const listeners = proposedFirst(findListeners(), session)
  const proposedName = (port: number): string =>
    nameOfService(listeners.find(one => one.port === port) ?? { port, program: undefined })
  if (flags.service !== undefined) {
    const { service, port } = parseServicePort(flags.service)
    return { service: checkServiceName(service ?? proposedName(port)), port }
  }
  if (ask) return askService(ask, terminal, listeners)
  const [first] = listeners.filter(one => nameOfService(one) === 'ssh')
  if (!first) throw usageError('no sshd listens here', 'name the service and its port: --service ssh=22')
  return { service: 'ssh', port: first.port }
}

/** What the session uses is what its user wants to close most likely, and must not lose. */
const proposedFirst = (listeners: readonly ListeningProgram[], session: Session | undefined): ListeningProgram[] =>
  [...listeners].sort((a, b) => Number(b.port === session?.port) - Number(a.port === session?.port))

async function knockerFor(terminal: Terminal, flags: Flags, ask: Ask | undefined): Promise<Knocker> {
  const find = (name: string, key?: string) => (key === undefined ? localUser(name) : userWithKey(name, key))
  if (flags.user !== undefined) return find(flags.user, flags.key)
  const proposal = () => localUser(process.env['SUDO_USER'] ?? 'root')
  if (!ask) return proposal()
  let proposed: Knocker | undefined
  try {
    proposed = proposal()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
  }
  return askKnocker(ask, terminal, proposed, find)
}

const planJson = ({ file, service, port, knocker }: SetupPlan) => ({ file, service, port, user: knocker.name })

function report(terminal: Terminal, flags: Flags, plan: SetupPlan, { applied, invitation, start }: SetupOutcome): void {
  const { service, port, knocker } = plan
  const { confirmWithin, changed } = applied
  if (flags.json) {
    const within = confirmWithin === undefined ? {} : { 'confirm-within': confirmWithin }
    terminal.out(jsonText({ changed, ...planJson(plan), started: start === 'started', invitation, ...within }))
    return
  }
  terminal.out(`port ${port} (${service}) is closed; a knock of ${knocker.name} opens it`)
  terminal.out(`at the client:           pkctl join '${invitation}'`)
  if (start === 'not read')
    terminal.out(`here:                    pkctl reload, so that the pkctld that runs knows ${knocker.name}`)
  if (start === 'not started')
    terminal.out(
      'here:                    start pkctld, which answers knocks: systemctl enable --now pkctl-rules pkctld',
    )
  if (confirmWithin === undefined) return
  terminal.out('here, in a new session:  pkctl confirm')
  terminal.out(`without pkctl confirm within ${durationText(confirmWithin)}, all of this is undone`)
}

/** Manual pages, from the same words as the help texts and the schema of the configuration. */
import { configDirectory, defaultConfig, defaultSocket, defaultStateDirectory } from '../../util/index.js'
import type { CommandNode, OptionNode } from './command-tree.js'
import type { SchemaNode } from './manual-options.js'
import { optionsBelow } from './manual-options.js'
import { bold, page, placeholderText, plain, prose, section, sentence, slanted, tagged } from './roff.js'

interface ManualParts {
  readonly program: CommandNode
  readonly pktables: CommandNode
  /** As `pkctl check --schema` prints it. */
  readonly schema: object
  readonly version: string
  /** Of host entries: see client/host-entry.ts. */
  readonly hostOptions: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** YYYY-MM-DD. */
  readonly date: string
}

/** The pages by their file names. */
export function manualPages(parts: ManualParts): Readonly<Record<string, string>> {
  return {
    'pkctl.1': pkctlPage(parts),
    'pktables.1': pktablesPage(parts),
    'pkctld.8': pkctldPage(parts),
    'pkctl.yaml.5': configurationPage(parts),
    'hosts.yaml.5': hostsPage(parts),
  }
}

const title = (name: string, section: number, { date, version }: ManualParts, manual: string) =>
  `.TH ${name} ${section} ${date} "pkctl ${version}" "${manual}"`

function optionText({ names, placeholder, description }: OptionNode): string[] {
  const tag = `${names.map(bold).join(', ')}${placeholder === '' ? '' : ` ${placeholderText(placeholder)}`}`
  return tagged(tag, plain(sentence(description)))
}

function commandText(program: string, command: CommandNode): string[] {
  const synopsis = [bold(command.name), ...command.arguments.map(({ placeholder }) => placeholderText(placeholder))]
  return [
    `.SS ${command.name}`,
    [bold(program), ...synopsis, command.options.length > 0 ? `[${slanted('options')}]` : ''].join(' ').trim(),
    '.PP',
    plain(sentence(command.description)),
    ...command.arguments.flatMap(({ placeholder, description }) =>
      tagged(placeholderText(placeholder), plain(sentence(description))),
    ),
    ...command.options.filter(({ names }) => !names.includes('--help')).flatMap(optionText),
    ...(command.afterword === '' ? [] : ['.PP', ...prose(command.afterword)]),
  ]
}

/** The command, and those that it has itself, by their whole names. */
const withSubcommands = (command: CommandNode): CommandNode[] => [
  command,
  ...command.commands.map(each => ({ ...each, name: `${command.name} ${each.name}` })),
]

const files = section(
  'FILES',
  ...tagged(slanted(defaultConfig), 'The configuration, with', `${slanted('conf.d')} beside it.`),
  ...tagged(slanted(`${configDirectory}/keys`), 'Keys, which only root and the daemon can read.'),
  ...tagged(slanted(defaultSocket), "The daemon's socket."),
  ...tagged(
    slanted(defaultStateDirectory),
    'What must survive a restart: the knocks that were accepted, and the last valid services.',
  ),
)

const exitStatus = section(
  'EXIT STATUS',
  ...tagged(bold('0'), plain('Done, or nothing to do.')),
  ...tagged(
    bold('1'),
    plain('It failed, or the daemon refused it. The error says why. The change is made as a whole, or not at all.'),
  ),
  ...tagged(bold('2'), plain('The command line is wrong.')),
)

function pkctlPage(parts: ManualParts): string {
  const { program } = parts
  return page(
    title('PKCTL', 1, parts, 'pkctl manual'),
    section('NAME', `pkctl \\- ${plain('keep ports closed until their users knock')}`),
    section('SYNOPSIS', `${bold('pkctl')} ${slanted('command')} [${slanted('options')}]`),
    section('DESCRIPTION', plain(program.description), '.PP', ...prose(program.afterword)),
    section('OPTIONS', ...program.options.flatMap(optionText)),
    section('COMMANDS', ...program.commands.flatMap(withSubcommands).flatMap(command => commandText('pkctl', command))),
    exitStatus,
    files,
    section('SEE ALSO', `${bold('pkctld')}(8), ${bold('pkctl.yaml')}(5), ${bold('hosts.yaml')}(5), ${bold('nft')}(8)`),
  )
}

function pktablesPage(parts: ManualParts): string {
  const { pktables } = parts
  return page(
    title('PKTABLES', 1, parts, 'pkctl manual'),
    section('NAME', `pktables \\- ${plain('services and grants of pkctl by the commands of knockd.conf')}`),
    section('SYNOPSIS', `${bold('pktables')} ${slanted('command')} [${slanted('options')}]`),
    section('DESCRIPTION', plain(pktables.description), '.PP', ...prose(pktables.afterword)),
    section('COMMANDS', ...pktables.commands.flatMap(command => commandText('pktables', command))),
    exitStatus,
    section('SEE ALSO', `${bold('pkctl')}(1), ${bold('knockd')}(1)`),
  )
}

function pkctldPage(parts: ManualParts): string {
  const daemon = parts.program.commands.find(({ name }) => name === 'daemon') as CommandNode
  return page(
    title('PKCTLD', 8, parts, 'pkctl manual'),
    section('NAME', `pkctld \\- ${plain('listen for knocks and grant access')}`),
    section('SYNOPSIS', `${bold('pkctld')} [${slanted('options')}]`),
    section('DESCRIPTION', plain(sentence(daemon.description)), '.PP', ...prose(daemon.afterword)),
    section('OPTIONS', ...daemon.options.flatMap(optionText)),
    section(
      'ENVIRONMENT',
      ...tagged(
        bold('NOTIFY_SOCKET'),
        'Where the daemon reports to the service manager that it is ready, reloads, or ends; see',
        `${bold('sd_notify')}(3).`,
      ),
      ...tagged(
        bold('WATCHDOG_USEC'),
        'Within this time the daemon reports that it is alive, as long as its packet worker and nft work.',
      ),
    ),
    section(
      'EXIT STATUS',
      ...tagged(bold('0'), plain('A signal ended the daemon.')),
      ...tagged(bold('1'), plain('It could not start, or could not go on. The log says why, and ports stay closed.')),
      ...tagged(bold('2'), plain('The command line is wrong.')),
    ),
    files,
    section('SEE ALSO', `${bold('pkctl')}(1), ${bold('pkctl.yaml')}(5), ${bold('systemctl')}(1)`),
  )
}

function configurationPage(parts: ManualParts): string {
  const { properties = {} } = parts.schema as SchemaNode
  return page(
    title('PKCTL.YAML', 5, parts, 'pkctl manual'),
    section('NAME', `pkctl.yaml \\- ${plain('configuration of pkctld')}`),
    section('SYNOPSIS', slanted(defaultConfig), '.br', slanted(`${configDirectory}/conf.d/*.yaml`)),
    section(
      'DESCRIPTION',
      plain(
        'The configuration is YAML. Files of conf.d, in the order of their names, are read as if they were part of it;',
      ),
      plain('each option and each name is given once. Times are in seconds, or 30s, 10m, 8h, 2d.'),
      '.PP',
      `${bold('pkctl check')} names each mistake with its position and changes nothing; ${bold('systemctl reload pkctld')}`,
      'takes a changed configuration over.',
    ),
    section(
      'OPTIONS',
      plain('NAME stands for a name of your own.'),
      ...Object.entries(properties).flatMap(([name, option]) => [
        `.SS ${plain(name)}`,
        plain(option.description ?? ''),
        ...optionsBelow(option, `${name}.`),
      ]),
    ),
    section('EXAMPLE', '.nf', ...example.split('\n').map(plain), '.fi'),
    files,
    section('SEE ALSO', `${bold('pkctl')}(1), ${bold('pkctld')}(8)`),
  )
}

const waysToKnock: Readonly<Record<string, string>> = {
  common: 'Options of all entries',
  pkd: 'PKD: tag and key, or key alone',
  symmetric: "pkctl's own knock with a key of the device: identity and key",
  ssh: "pkctl's own knock, signed with an SSH key: identity alone, or with ssh-key",
  sequence: 'A port sequence',
  rotating: 'A port sequence that a secret and the hour give',
}

function hostsPage(parts: ManualParts): string {
  return page(
    title('HOSTS.YAML', 5, parts, 'pkctl manual'),
    section('NAME', `hosts.yaml \\- ${plain('servers that pkctl knock and pkctl connect know by name')}`),
    section('SYNOPSIS', slanted('~/.config/pkctl/hosts.yaml')),
    section(
      'DESCRIPTION',
      plain('The file is YAML: a mapping from names to host entries. The options of an entry say how to knock there.'),
      plain(
        'Only you may be able to read the file, if it has keys. The directory is that of XDG_CONFIG_HOME, if it is set.',
      ),
      `${bold('pkctl join')} ${plain('adds the entry of an invitation.')}`,
    ),
    section(
      'OPTIONS',
      ...Object.entries(parts.hostOptions).flatMap(([way, options]) => [
        `.SS ${plain(waysToKnock[way] ?? way)}`,
        ...Object.entries(options).flatMap(([name, description]) => tagged(bold(name), plain(description))),
      ]),
    ),
    section('EXAMPLE', '.nf', ...hostsExample.split('\n').map(plain), '.fi'),
    section('SEE ALSO', `${bold('pkctl')}(1), ${bold('ssh_config')}(5)`),
  )
}

const hostsExample = `home:
  host: server.example
  tag: SSHK
  key-file: ~/.config/pkctl/home.key
  connect: 22

work:
  host: work.example
  identity: pk1:D9khxB59yEDtmOI1x22w208cl9cnLn3SIcfb50VLNVs`

const example = `services:
  ssh:
    port: 22

credentials:
  laptop:
    type: pkd
    tag: SSHK
    key-file: keys/laptop
    opens: [ssh]`

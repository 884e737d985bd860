/** Manual pages, from the same words as the help texts and the schema of the configuration. */
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
  ...tagged(slanted('/etc/pkctl/pkctl.yaml'), 'The configuration, with', `${slanted('conf.d')} beside it.`),
  ...tagged(slanted('/etc/pkctl/keys'), 'Keys, closed to everyone but root and the daemon.'),
  ...tagged(slanted('/run/pkctl/pkctl.sock'), "The daemon's socket."),
  ...tagged(
    slanted('/var/lib/pkctl'),
    'What must survive a restart: the knocks that were honoured, and the last good services.',
  ),
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
    files,
    section('SEE ALSO', `${bold('pkctld')}(8), ${bold('pkctl.yaml')}(5), ${bold('nft')}(8)`),
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
    files,
    section('SEE ALSO', `${bold('pkctl')}(1), ${bold('pkctl.yaml')}(5), ${bold('systemctl')}(1)`),
  )
}

function configurationPage(parts: ManualParts): string {
  const { properties = {} } = parts.schema as SchemaNode
  return page(
    title('PKCTL.YAML', 5, parts, 'pkctl manual'),
    section('NAME', `pkctl.yaml \\- ${plain('configuration of pkctld')}`),
    section('SYNOPSIS', slanted('/etc/pkctl/pkctl.yaml'), '.br', slanted('/etc/pkctl/conf.d/*.yaml')),
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

const example = `services:
  ssh:
    port: 22

credentials:
  laptop:
    type: pkd
    tag: SSHK
    key-file: keys/laptop
    opens: [ssh]`

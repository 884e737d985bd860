/** Completion for bash, zsh and fish, made from the command tree. Names are asked of `pkctl completion --names`. */
import type { ArgumentNode, CommandNode, OptionNode, ValueKind } from './command-tree.js'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

export function completionFor(shell: Shell, program: CommandNode): string {
  return { bash, zsh, fish }[shell]({ ...program, commands: program.commands.map(asOne) })
}

/** A command of commands: its first word is the name of one of them, and the options of all of them can follow. */
function asOne(command: CommandNode): CommandNode {
  const { commands } = command
  if (commands.length === 0) return command
  const choices = commands.map(({ name }) => name)
  const options = new Map(commands.flatMap(each => each.options.map(option => [option.names.join(), option])))
  const first: ArgumentNode = { placeholder: '<command>', description: '', value: { kind: 'choice', choices } }
  const second = commands.flatMap(each => each.arguments.slice(0, 1)).find(({ value }) => value.kind === 'names')
  return { ...command, arguments: [first, ...(second ? [second] : [])], options: [...options.values()] }
}

/** The shell's command for the names of a kind, which `kind` is in the shell's language. */
const listNames = (kind: string) => `command pkctl completion --names ${kind} 2>/dev/null`

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

// ---- bash

/** Of programs that have commands. */
const findCommand = `  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} != -* ]]; then
      command=\${COMP_WORDS[i]}
      break
    fi
  done
  # Arguments before the one at hand, and values of options.
  for ((i++; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] || ((before++))
  done
`

function bash(program: CommandNode): string {
  const { name, commands } = program
  const words = (kind: ValueKind | undefined) =>
    kind?.kind === 'choice'
      ? quoted(kind.choices.join(' '))
      : kind?.kind === 'names'
        ? `"$(${listNames(kind.of)})"`
        : "''"
  const values = [{ name: '', options: program.options }, ...commands].flatMap(command =>
    command.options.flatMap(({ names, value }) => {
      if (!value) return []
      const pattern = names.map(option => `${command.name}:${option}`).join(' | ')
      const action =
        value.kind === 'file'
          ? `compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")`
          : `words=${words(value)}`
      return [`  ${pattern}) ${action}; known=1 ;;`]
    }),
  )
  const options = commands.map(command => {
    const [first, second] = command.arguments
    const later = second && second.value.kind !== 'text' ? `; ((before > 0)) && words=${words(second.value)}` : ''
    return `  ${command.name}) options=${quoted(command.options.flatMap(({ names }) => names).join(' '))} words=${words(first?.value)}${later} ;;`
  })
  return `# bash completion of ${name}; pkctl completion bash prints it.

_${name}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local command='' known='' words='' options='' before=0 i
  COMPREPLY=()
${commands.length === 0 ? '' : findCommand}  # The value of an option.
  case $command:$prev in
${values.join('\n')}
  esac
  if [[ $known ]]; then
    [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    return
  fi
  case $command in
  '')
    words=${quoted(commands.length === 0 ? '' : ['help', ...commands.map(({ name: command }) => command)].join(' '))}
    options=${quoted(program.options.flatMap(({ names }) => names).join(' '))}
    ;;
  help) words=${quoted(commands.map(({ name: command }) => command).join(' '))} ;;
${options.join('\n')}
  esac
  [[ $cur == -* ]] && words=$options
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _${name} ${name}
`
}

// ---- zsh

function zsh(program: CommandNode): string {
  const { name, commands } = program
  const text = (description: string) => description.replace(/[\\\]:[]/g, '\\$&')
  const action = (value: ValueKind) => {
    if (value.kind === 'choice') return `(${value.choices.join(' ')})`
    return value.kind === 'names' ? `_${name}_names ${value.of}` : value.kind === 'file' ? '_files' : ' '
  }
  const option = ({ names, description, value }: OptionNode) => {
    const suffix = `[${text(description)}]${value ? `:value:${action(value)}` : ''}`
    return names.map(each => quoted(`*${each}${suffix}`))
  }
  const argument = ({ placeholder, value }: ArgumentNode, i: number) =>
    quoted(`${placeholder.includes('...') ? '*' : i + 1}:${placeholder.replace(/[^\w]/g, '')}:${action(value)}`)
  const cases = commands.map(command => {
    const lines = [...command.options.flatMap(option), ...command.arguments.map(argument)]
    return `    ${command.name})\n      _arguments -s ${lines.map(line => `\\\n        ${line}`).join(' ')}\n      ;;`
  })
  const withCommands = `  local curcontext=$curcontext state line
  local -a commands
  commands=(
${commands.map(command => `    ${quoted(`${command.name}:${command.description.replace(/[\\:]/g, '\\$&')}`)}`).join('\n')}
    'help:display help for a command'
  )
  _arguments -C ${program.options.flatMap(option).join(' ')} '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $words[1] in
    help) _describe command commands ;;
${cases.join('\n')}
    esac
    ;;
  esac`
  return `#compdef ${name}
# zsh completion of ${name}; pkctl completion zsh prints it.

_${name}_names() {
  local -a names
  # Before the kind are options for compadd.
  names=(\${(f)"$(${listNames('$@[-1]')})"})
  compadd -a names
}

_${name}() {
${commands.length === 0 ? `  _arguments -s ${program.options.flatMap(option).join(' ')}` : withCommands}
}

if [[ $funcstack[1] == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`
}

// ---- fish

function fish(program: CommandNode): string {
  const { name, commands } = program
  const text = (value: string) => `'${value.replace(/[\\']/g, '\\$&')}'`
  const takes = (value: ValueKind | undefined) => {
    if (!value) return ''
    if (value.kind === 'choice') return ` -xa ${text(value.choices.join(' '))}`
    if (value.kind === 'names') return ` -xa '(${listNames(value.of)})'`
    return value.kind === 'file' ? ' -rF' : ' -x'
  }
  const option = (condition: string, { names, description, value }: OptionNode) => {
    const flags = names.map(each => (each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`))
    return `complete -c ${name} -n ${text(condition)} ${flags.join(' ')}${takes(value)} -d ${text(description)}`
  }
  const lines = commands.flatMap(command => {
    const inside = `__fish_seen_subcommand_from ${command.name}`
    const values = command.arguments.flatMap(({ value }) =>
      value.kind === 'text' ? [] : [`complete -c ${name} -n ${text(inside)}${takes(value)}`],
    )
    return [
      `complete -c ${name} -n __fish_use_subcommand -a ${command.name} -d ${text(command.description)}`,
      ...command.options.map(each => option(inside, each)),
      ...values,
    ]
  })
  return `# fish completion of ${name}; pkctl completion fish prints it.

complete -c ${name} -f
${[...program.options.map(each => option(commands.length === 0 ? 'true' : '__fish_use_subcommand', each)), ...lines].join('\n')}
${commands.length === 0 ? '' : `complete -c ${name} -n '__fish_seen_subcommand_from help' -a ${text(commands.map(command => command.name).join(' '))}\n`}`
}

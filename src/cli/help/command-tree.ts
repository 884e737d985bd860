/** The command line as data: what manual pages and completions are made of, so that they say what the help texts say. */
import type { Argument, Command, Option } from 'commander'

/** Names that are known on this machine alone: see completion-names.ts. */
export const nameKinds = ['services', 'grants', 'revocable', 'credentials', 'hosts', 'users', 'systems'] as const
export type NameKind = (typeof nameKinds)[number]

/** What a value is, as far as a shell can help with it. */
export type ValueKind =
  | { readonly kind: 'file' | 'text' }
  | { readonly kind: 'names'; readonly of: NameKind }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }

export interface OptionNode {
  /** As typed, `-v` before `--verbose`. */
  readonly names: readonly string[]
  /** `<file>` or `[n]`; empty for a flag. */
  readonly placeholder: string
  /** With default and choices. */
  readonly description: string
  readonly value: ValueKind | undefined
}

export interface ArgumentNode {
  /** `<name>`, `[name]`, `[ports...]`. */
  readonly placeholder: string
  readonly description: string
  readonly value: ValueKind
}

export interface CommandNode {
  readonly name: string
  readonly description: string
  readonly arguments: readonly ArgumentNode[]
  readonly options: readonly OptionNode[]
  /** What the help says below its lists. */
  readonly afterword: string
  readonly commands: readonly CommandNode[]
}

export function commandTree(command: Command): CommandNode {
  const help = command.createHelp()
  return {
    name: command.name(),
    description: command.description(),
    arguments: command.registeredArguments.map(argument => ({
      placeholder: argumentPlaceholder(argument),
      description: argument.description,
      value: valueKind(argument.name(), argument.argChoices, argumentNames[`${command.name()} ${argument.name()}`]),
    })),
    options: help.visibleOptions(command).map(option => ({
      names: [option.short, option.long].filter(name => name != null),
      placeholder: /[<[].*$/.exec(option.flags)?.[0] ?? '',
      description: help.optionDescription(option),
      value: optionValue(command.name(), option),
    })),
    afterword: afterwordOf(command),
    commands: command.commands.map(commandTree),
  }
}

/** The names that arguments take, by the command and the name of the argument. */
const argumentNames: Readonly<Record<string, NameKind>> = {
  'init name': 'services',
  'remove name': 'services',
  'list name': 'services',
  'add address': 'grants',
  'delete address': 'grants',
  'revoke who': 'revocable',
  'explain what': 'grants',
  'sequence name': 'credentials',
  'invite name': 'users',
  'show name': 'users',
  'revoke name': 'users',
  'export name': 'users',
  'knock host': 'hosts',
  'connect host': 'hosts',
  'import system': 'systems',
}

/** The same of options, by the command where it is for that one alone. */
const optionNames: Readonly<Record<string, NameKind>> = {
  '--service': 'services',
  '--credential': 'credentials',
  'log --source': 'grants',
}

function optionValue(command: string, option: Option): ValueKind | undefined {
  const [, name] = /[<[](\w+)/.exec(option.flags) ?? []
  if (name === undefined) return undefined
  return valueKind(name, option.argChoices, optionNames[`${command} ${option.long}`] ?? optionNames[option.long ?? ''])
}

function valueKind(name: string, choices: readonly string[] | undefined, names: NameKind | undefined): ValueKind {
  if (choices) return { kind: 'choice', choices }
  if (name === 'file' || name === 'path') return { kind: 'file' }
  return names === undefined ? { kind: 'text' } : { kind: 'names', of: names }
}

function argumentPlaceholder(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${name}>` : `[${name}]`
}

/** Commander keeps it among its listeners: it is what the whole help has more than the lists. */
function afterwordOf(command: Command): string {
  const lists = command.helpInformation()
  let whole = ''
  const output = command.configureOutput()
  command.configureOutput({ ...output, writeOut: text => (whole += text) })
  command.outputHelp()
  command.configureOutput(output)
  return whole.slice(lists.length).trim()
}

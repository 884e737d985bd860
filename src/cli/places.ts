/** Where the client knocks by name: `~/.config/pkctl/hosts.yaml`, a mapping from names to places. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { CliError } from './terminal.js'

const port = z
  .string()
  .refine(
    text => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535,
    'expected a port from 1 to 65535',
  )
  .transform(Number)

const placeSchema = z.strictObject({
  host: z.string().min(1).describe('Name or address of the server.'),
  port: port.optional().describe('UDP port to knock on. Default: a random one.'),
  tag: z.string().optional().describe('Tag of the credential. Default: PKD0.'),
  key: z.string().optional().describe('The key itself.'),
  'key-file': z.string().optional().describe('A file whose first line is the key; ~ is the home directory.'),
  sequence: z
    .array(z.string())
    .min(1)
    .optional()
    .describe('Knocks at these ports, in their order: 7000, 8000:udp; instead of a PKD knock.'),
  family: z.enum(['4', '6'], 'expected 4 or 6').optional().describe('Knock only over this version of IP.'),
  connect: port.optional().describe('TCP port to try after the knock, as --connect does.'),
})

export type Place = z.infer<typeof placeSchema>

export function placesFile(): string {
  const config = process.env['XDG_CONFIG_HOME'] ?? path.join(os.homedir(), '.config')
  return path.join(config, 'pkctl', 'hosts.yaml')
}

/** The place of that name, or undefined when the file has none or is not there. */
export function findPlace(name: string, file = placesFile()): Place | undefined {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`)
  }
  let places: unknown
  try {
    // Everything as it is written: a tag or key of digits must not become a number, and lose its leading zeros.
    places = parse(text, { schema: 'failsafe' }) ?? {}
  } catch (error) {
    throw new CliError(`${file} is not YAML: ${(error as Error).message.split('\n')[0] ?? ''}`)
  }
  if (typeof places !== 'object' || places === null || Array.isArray(places))
    throw new CliError(`${file}: expected names and their places`)
  const entry = Object.entries(places as Record<string, unknown>).find(([key]) => key === name)?.[1]
  if (entry === undefined) return undefined
  const result = placeSchema.safeParse(entry)
  if (result.success) return result.data
  const { path: at, message } = result.error.issues[0] ?? { path: [], message: 'not a place' }
  throw new CliError(`${file}: ${[name, ...at.map(String)].join('.')}: ${message.toLowerCase()}`)
}

/** `~/x` in the home directory. */
export const expandHome = (file: string): string => file.replace(/^~(?=\/)/, os.homedir())

/**
 * The options of /etc/pkctl/pkctl.yaml as a whole.
 *
 * A schema checks one value and turns it into what the daemon uses. What concerns two options of one entry, two
 * entries, or a second file is in the files load-*.ts, so that one wrong value does not hide such a problem.
 */
import * as z from 'zod'
import { credentialKeys, credentialSchema } from './credentials/credential-schemas.js'
import { mapping } from './schema-parts.js'
import { serviceLogSchema, serviceSchema } from './service-schema.js'
import { notifySchema } from './notify-schema.js'
import { mappings, sections } from './settings-schema.js'
import { triggerSchema } from './trigger-schema.js'
import { namePattern } from './values.js'

const configSchema = mapping({
  ...sections,
  services: z
    .record(z.string().regex(namePattern), serviceSchema)
    .nullable()
    .prefault({})
    .describe('The ports that are kept closed until someone knocks, by name.'),
  credentials: z
    .record(z.string().regex(namePattern), credentialSchema)
    .nullable()
    .prefault({})
    .describe('What knocks are checked against, by name.'),
})

/** The keys that are known at a path; `*` stands for a name. */
const shapes: Readonly<Record<string, object>> = {
  '': configSchema.shape,
  ...Object.fromEntries(Object.entries(mappings).map(([section, { shape }]) => [section, shape])),
  'services.*': serviceSchema.shape,
  'services.*.log': serviceLogSchema.shape,
  'credentials.*': credentialKeys,
  'notify.*': notifySchema.shape,
  ...Object.fromEntries(['open', 'close', 'expiry'].map(on => [`credentials.*.on-${on}`, triggerSchema.shape])),
}

export const configurationKeys = (path: string): string[] => Object.keys(shapes[path] ?? {})

/** The sections that hold other options; nothing after their colon is the same as an empty mapping. */
export const mappingSections: readonly string[] = [
  ...Object.keys(shapes).filter(key => key in configSchema.shape),
  'services',
  'credentials',
  'notify',
]

/** A JSON Schema for editors, which then complete and check the configuration while it is written. */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' })
  return { ...schema, title: 'pkctl configuration' }
}

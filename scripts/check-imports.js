// Checks which files import which: run by `npm run lint`.
//
//   check-imports.js [DIRECTORY]   of the repository; by default the one in which it runs
//
// - A room (a folder of src/) imports only the rooms that `rooms` lists for it; `separate` keeps folders in a room apart.
// - No files import each other in a circle.
// - What no other file imports is not exported.
// - No two files export the same name, so that a name says which of them is meant.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

const [directory] = process.argv.slice(2)
if (directory !== undefined) process.chdir(directory)

/** What each room may import, besides itself. See docs/architecture.md. */
const rooms = {
  util: [],
  net: ['util'],
  knock: ['net', 'util'],
  nft: ['net', 'util'],
  queue: ['net', 'util'],
  fleet: ['net', 'util'],
  config: ['knock', 'nft', 'net', 'util'],
  controller: ['config', 'knock', 'nft', 'queue', 'net', 'util'],
  client: ['config', 'knock', 'net', 'util'],
  safety: ['config', 'nft', 'net', 'util'],
  users: ['config', 'knock', 'net', 'util'],
  import: ['config', 'knock', 'net', 'util'],
  // The doctor warns about the session that the lockout guard protects: both find it with safety/ssh-session.
  doctor: ['safety', 'controller', 'config', 'fleet', 'knock', 'nft', 'queue', 'net', 'util'],
  daemon: ['controller', 'config', 'fleet', 'knock', 'nft', 'queue', 'net', 'util'],
  cli: [
    ...['daemon', 'client', 'safety', 'import', 'users', 'doctor'],
    ...['controller', 'config', 'fleet', 'knock', 'nft', 'queue', 'net', 'util'],
  ],
}

/** Folders of a room that must not import each other; what stands beside them is for all. */
const separate = {
  'nft/table': ['nft/reconcile', 'nft/foreign'],
  'nft/foreign': ['nft/reconcile', 'nft/table'],
  'nft/reconcile': ['nft/foreign'],
}

/**
 * Files that other rooms import by their own name: commands that cron and scripts call load them without the libraries
 * that the rest of their room needs (zod, yaml, winston, ffi-rs). See test/unit/cli/loading.test.ts.
 */
const direct = [
  ...['config/config-error.ts', 'config/values.ts', 'config/service-rules.ts', 'config/types.ts'],
  ...['config/host-interfaces.ts', 'config/unconfirmed-change.ts'],
  ...['config/credentials/credential-types.ts', 'nft/nft-errors.ts', 'queue/queue-error.ts'],
  ...[
    'client/add-host-entry.ts',
    'client/hosts-file.ts',
    'controller/ruleset/saved-services.ts',
    'import/iptables-log.ts',
    'queue/peer-user.ts',
    'queue/statistics.ts',
  ],
  ...['safety/ask-rollback-process.ts'],
  // Without the library of the engine.
  'fleet/warnings.ts',
  ...['daemon/control-client.ts', 'daemon/error-messages.ts', 'daemon/history-lines.ts', 'daemon/requests.ts'],
  ...['daemon/change-record.ts', 'daemon/declared.ts', 'daemon/history-follower.ts', 'safety/ssh-session.ts'],
].map(file => path.join('src', file))

const filesIn = (folder, ending = '.ts') =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith(ending))
    .map(file => path.join(folder, file))

const roomOf = file => file.split(path.sep)[1]
/** The room and the folder in it: `nft/table`. */
const folderOf = file => file.split(path.sep).slice(1, 3).join('/')
const sources = filesIn('src')
const tests = filesIn('test')
const scripts = filesIn('scripts', '.js')
const problems = []

/** For each file, the files that it imports and the names that it takes from each. */
const imports = new Map(
  [...sources, ...tests, ...scripts].map(file => {
    const text = readFileSync(file, 'utf8')
    const found = [
      ...text.matchAll(
        /(?:^(?:import|export)\s([^;'"]*?)from\s|(?:const\s(\{[^}]*\})\s=\sawait\s)?import\()'(\.[^']+)\.js'/gm,
      ),
    ]
    return [
      file,
      found.map(([, fixed, later, specifier]) => ({
        // Scripts import what is compiled.
        target: path.join(path.dirname(file), `${specifier}.ts`).replace(/^dist\//, ''),
        names: fixed ?? later ?? '*',
      })),
    ]
  }),
)

for (const file of sources) {
  const room = roomOf(file)
  if (!(room in rooms)) problems.push(`${file}: src/${room} is not a room; scripts/check-imports.js lists them`)
  for (const { target } of imports.get(file)) {
    const other = roomOf(target)
    if (other !== room && !rooms[room]?.includes(other)) {
      problems.push(`${file}: ${room} must not import ${other} (${target})`)
    }
    // A type of credential takes its own format by name, so that a new one touches no other file.
    const isFormat = file.startsWith('src/config/credentials/') && other === 'knock'
    if (other !== room && path.basename(target) !== 'index.ts' && !direct.includes(target) && !isFormat) {
      problems.push(`${file}: import ${target} through the index.ts of ${other}`)
    }
    if (separate[folderOf(file)]?.includes(folderOf(target))) {
      problems.push(`${file}: ${folderOf(file)} must not import ${folderOf(target)} (${target})`)
    }
  }
}

/** Strongly connected components (Tarjan): more than one file in one is a circle. */
function circles() {
  const order = new Map()
  const lowest = new Map()
  const stack = []
  const found = []
  const visit = file => {
    order.set(file, order.size)
    lowest.set(file, order.get(file))
    stack.push(file)
    for (const { target } of imports.get(file) ?? []) {
      if (!order.has(target)) visit(target)
      if (stack.includes(target)) lowest.set(file, Math.min(lowest.get(file), lowest.get(target)))
    }
    if (lowest.get(file) !== order.get(file)) return
    const circle = stack.splice(stack.indexOf(file))
    if (circle.length > 1) found.push(circle)
  }
  for (const file of sources) if (!order.has(file)) visit(file)
  return found
}
for (const circle of circles()) problems.push(`${circle.join(', ')}: these import each other in a circle`)

/** Names that other files take from each file; `*` for all of them. */
const taken = new Map()
for (const found of imports.values()) {
  for (const { target, names } of found) {
    const list = /\{([^}]*)\}/.exec(names)?.[1] ?? '*'
    const words = list.split(',').map(
      word =>
        word
          .replace(/^\s*type\s/, '')
          .trim()
          .split(/\s+as\s+/)[0],
    )
    taken.set(target, new Set([...(taken.get(target) ?? []), ...words]))
  }
}
/** Each type of credential has a file that exports its `kind`: see credential-types.ts. */
const isKind = (file, name) => name === 'kind' && path.dirname(file) === path.normalize('src/config/credentials')

/** The file that exports each name. */
const exporters = new Map()
for (const file of sources) {
  const names = taken.get(file) ?? new Set()
  const text = readFileSync(file, 'utf8')
  for (const [, name] of text.matchAll(
    /^export (?:async )?(?:function\*?|const|let|class|interface|type|enum) (\w+)/gm,
  )) {
    const other = exporters.get(name)
    if (other !== undefined && other !== file && !isKind(file, name))
      problems.push(`${file}: ${other} exports a ${name}, too: name one of them after what it is`)
    exporters.set(name, file)
    if (names.has('*')) continue
    if (!names.has(name)) problems.push(`${file}: no other file imports ${name}: do not export it`)
  }
}

for (const file of sources.filter(name => path.basename(name) === 'index.ts')) {
  for (const [, list] of readFileSync(file, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\}/gm)) {
    for (const word of list.split(',')) {
      const name = word
        .trim()
        .split(/\s+as\s+/)
        .at(-1)
      if (name && !taken.get(file)?.has(name)) problems.push(`${file}: no other file imports ${name}: do not offer it`)
    }
  }
}

for (const problem of problems) console.error(problem)
process.exitCode = problems.length > 0 ? 1 : 0

/** The names that a shell completes, as this machine knows them. What cannot be asked gives none. */
import type { NameKind } from './command-tree.js'
import { kernelOrDaemon } from '../changes/kernel-or-daemon.js'

/** In order, each once. Never rejects: a shell in the middle of a line has no use for an error. */
export async function completionNames(kind: NameKind, config: string, socket: string): Promise<string[]> {
  const found = await sources[kind]({ config, socket }).catch(() => [])
  // What a shell would take apart is no word to complete.
  return [...new Set(found)].filter(name => /^[^\s'"\\$`]+$/.test(name)).sort()
}

interface NameSources {
  readonly config: string
  readonly socket: string
}

const sources: Readonly<Record<NameKind, (places: NameSources) => Promise<string[]>>> = {
  services: async ({ socket }) => (await services(socket)).map(({ spec }) => spec.name),
  grants: async ({ socket }) => (await services(socket)).flatMap(({ grants }) => grants.map(({ source }) => source)),
  revocable: async places => [...(await sources.grants(places)), ...(await sources.credentials(places))],
  async credentials({ config }) {
    const { isMapping, readMerged } = await import('../../config/index.js')
    const { credentials } = readMerged(config).value
    return isMapping(credentials) ? Object.keys(credentials) : []
  },
  async users({ config }) {
    const { allUsers, keyPlaces } = await import('../../users/index.js')
    return allUsers(keyPlaces(config)).users.map(({ comment }) => comment)
  },
  async hosts() {
    const { hostNames } = await import('../../client/hosts-file.js')
    return hostNames()
  },
  async systems() {
    const { systemNames } = await import('../../import/index.js')
    return [...systemNames]
  },
}

async function services(socket: string) {
  const { realFirewall } = await import('../../nft/index.js')
  return kernelOrDaemon(socket, { request: 'list' }, async () => [...(await realFirewall().services()).values()])
}

/** What a reload says, and when. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { it } from 'node:test'
import { ensureServerIdentity } from '../../../src/cli/server/server-key-file.js'
import type { ReloadParts } from '../../../src/daemon/reload-configuration.js'
import { reload } from '../../../src/daemon/reload-configuration.js'

it('warns of services that no knock opens before it closes their ports', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-reload-'))
  try {
    ensureServerIdentity(directory)
    const file = path.join(directory, 'pkctl.yaml')
    const people = { type: 'ssh', 'authorized-keys': 'missing', opens: ['ssh'] }
    const settings = { 'state-directory': directory, services: { ssh: { port: 22 } }, credentials: { people } }
    fs.writeFileSync(file, JSON.stringify(settings))
    const said: string[] = []
    const say = (message: string) => void said.push(message)
    const parts = {
      file,
      log: { info: say, warn: say, prepare: () => ({ warnings: [], use: () => undefined, drop: () => undefined }) },
      manager: { reloading: () => undefined, ready: () => undefined },
      notifier: { use: () => undefined },
      controller: {
        reload: (config: unknown) => {
          said.push('ports close')
          return Promise.resolve({ change: { details: [] }, config, needsRestart: [], running: [] })
        },
      },
    }
    const { warnings } = await reload({ name: 'root', text: 'root', fields: {} }, parts as unknown as ReloadParts)
    const isOne = (text: string) => text.startsWith('services.ssh: no credential that opens it can be used now: people')
    assert.equal(warnings.filter(isOne).length, 1)
    assert.equal(said.filter(isOne).length, 1, 'said once')
    assert.ok(said.findIndex(isOne) < said.indexOf('ports close'))
  } finally {
    fs.rmSync(directory, { recursive: true })
  }
})

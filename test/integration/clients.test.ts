/** The clients that need nothing installed, in `clients/`, against the daemon. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Result } from '../support/commands.js'
import { root, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const key = `0x${'5a'.repeat(32)}`

const clients = [
  { name: 'knock.py', command: ['python3', path.join(root, 'clients/knock.py')] },
  { name: 'knock.sh', command: ['sh', path.join(root, 'clients/knock.sh')] },
]

describe('clients', () => {
  let lab: Lab
  let keyFile: string

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    keyFile = lab.file('key', `${key}\n`)
    await lab.daemon(
      lab.config(`services: { ssh: { port: 22, window: 600, reject: reset } }
credentials: { phone: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh], skew: 60 } }`),
    )
  })
  after(() => lab.remove())

  for (const { name, command } of clients) {
    const knock = (...args: string[]): Promise<Result> => lab.from([...command, ...args])

    // From which of its addresses the client's machine sends is the choice of its kernel.
    for (const [family, host, sources] of [
      ['IPv4', server4, [client4, stranger4]],
      ['IPv6', server6, [client6, stranger6]],
    ] as const) {
      const open = async () => {
        const results = await Promise.all(sources.map(source => lab.opens(host, source)))
        return results.filter(result => result === 'open').length
      }

      it(`${name} opens a port by a PKD knock over ${family}`, async () => {
        for (const source of sources) await lab.mustPkctl('delete', source, '--service', 'ssh')
        assert.equal(await open(), 0)
        const { status, stderr } = await knock(host, '--pkd', 'SSHK', '--key-file', keyFile)
        assert.equal(stderr, '')
        assert.equal(status, 0)
        await until(async () => (await open()) === 1, 5000)
      })
    }

    it(`${name} says in one line what is wrong, and ends with 2 for wrong arguments, else with 1`, async () => {
      const short = lab.file('short', '0x00\n')
      const empty = lab.file('empty', '\n')
      const cases: readonly [string[], number, RegExp][] = [
        [[], 2, /host/],
        [[server4, '--key-file', keyFile], 2, /--pkd/],
        [[server4, '--pkd', 'SSHK'], 2, /--key-file/],
        [[server4, '--pkd', 'SSHK', '--key-file', keyFile, '--port', '70000'], 2, /70000/],
        [[server4, '--pkd', 'SSHK', '--key-file', keyFile, '--close'], 2, /--close/],
        [[server4, '--pkd', 'SSHK', '--key-file', '/nowhere'], 1, /error: \/nowhere cannot be read/],
        [[server4, '--pkd', 'SSHK', '--key-file', empty], 1, /error: .*no key in its first line/],
        [[server4, '--pkd', 'SSHKK', '--key-file', keyFile], 1, /error: the tag has 5 bytes, and at most 4/],
        [[server4, '--identity', 'pk1:short', '--key-file', keyFile], 1, /error: that is not an identity/],
        [[server4, '--identity', `pk1:${'A'.repeat(43)}`, '--key-file', short], 1, /error: the key is not 32 bytes/],
      ]
      for (const [args, status, message] of cases) {
        const result = await knock(...args)
        assert.equal(result.status, status, args.join(' '))
        assert.match(result.stderr, message)
        assert.doesNotMatch(result.stderr, /Traceback/)
      }
    })
  }
})

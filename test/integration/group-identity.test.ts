/** One key pair of a group of servers, from `pkctl keygen --group` to the open ports of two of them. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pkctl, until } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'

describe('a group of servers with an identity', () => {
  let labs: Lab[]
  let openssh: OpenSsh
  let group: string
  let own: string[]

  before(async () => {
    openssh = new OpenSsh()
    const line = openssh.key('alice', '-t', 'ed25519')
    labs = [await Lab.create(), await Lab.create()]
    const [first] = labs as [Lab]
    const made = await first.pkctl('keygen', '--group', path.join(first.directory, 'group-key'))
    assert.match(made.stderr, /a captured knock for the group also opens its other servers, each of them once/)
    group = made.stdout.trim()
    own = []
    for (const lab of labs) {
      await lab.serve(22)
      const copy = path.join(lab.directory, 'group-key')
      if (lab !== first) fs.copyFileSync(path.join(first.directory, 'group-key'), copy)
      fs.chmodSync(copy, 0o600)
      lab.file('keys', `${line}\n`, 0o644)
      own.push((await lab.mustPkctl('keygen', '--server', '--state-directory', `${lab.directory}/state`)).trim())
      const keys = 'type: ssh, authorized-keys: keys, opens: [ssh], rate: none'
      await lab.daemon(
        lab.config(
          `services: { ssh: { port: 22 } }\ncredentials: { fleet: { ${keys}, identity-file: group-key }, staff: { ${keys} } }`,
        ),
      )
    }
  })
  after(async () => {
    openssh.remove()
    for (const lab of labs) await lab.remove()
  })

  const knock = (lab: Lab, identity: string) =>
    lab.from(
      [
        ...[process.execPath, pkctl, 'knock', server4, '--identity', identity],
        ...['--ssh-key', openssh.path('alice'), '--connect', '22', '--timeout', '2s'],
      ],
      { env: { HOME: openssh.directory, XDG_CONFIG_HOME: lab.directory, SSH_AUTH_SOCK: undefined } },
    )

  it('is printed again by keygen, and differs from that of each server', async () => {
    const [lab] = labs as [Lab]
    assert.match(group, /^pk1:[\w-]{43}$/)
    assert.equal((await lab.mustPkctl('keygen', '--group', `${lab.directory}/group-key`)).trim(), group)
    assert.equal(new Set([group, ...own]).size, 3)
  })

  for (const [i, name] of ['where it was made', 'that has a copy'].entries()) {
    it(`opens a server ${name} to a key, beside the server's own`, async () => {
      const lab = labs[i] as Lab
      assert.equal(await lab.opens(server4, client4), 'timeout')
      for (const [identity = '', credential] of [
        [group, 'fleet'],
        [own[i], 'staff'],
      ]) {
        const { status, stdout, stderr } = await knock(lab, identity)
        assert.equal(status, 0, stderr)
        assert.match(stdout, /port 22\/tcp is open/)
        assert.equal(await lab.opens(server4, stranger4), 'timeout')
        const log = () => lab.mustPkctl('log', '--config', `${lab.directory}/pkctl.yaml`)
        await until(async () => new RegExp(`knock by .*, ${credential}\\) from ${client4} opens ssh`).test(await log()))
        await lab.mustPkctl('delete', client4, '--service', 'ssh')
        assert.equal(await lab.opens(server4, client4), 'timeout')
      }
    })
  }

  it("with another server's own identity, a knock does not leave the kernel", async () => {
    const { status, stderr } = await knock(labs[0] as Lab, own[1] ?? '')
    assert.equal(status, 1)
    assert.match(stderr, /port 22\/tcp is not open/)
  })
})

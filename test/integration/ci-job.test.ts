/** A job of CI as docs/ci.md shows it: its own commands, with a CA of OpenSSH, against a real sshd behind the daemon. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { must, pkctl, root } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { startSshd, user } from '../support/sshd.js'

const page = fs.readFileSync(path.join(root, 'docs/ci.md'), 'utf8')
const block = (language: string) =>
  new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm').exec(page)?.[1] ?? assert.fail(language)

describe('a job of CI', () => {
  let lab: Lab
  let identity: string
  let daemon: Background

  before(async () => {
    lab = await Lab.create()
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'ca', '-f', `${lab.directory}/ca`])
    await startSshd(lab, [
      `TrustedUserCAKeys ${lab.directory}/ca.pub`,
      `AuthorizedPrincipalsFile ${lab.directory}/principals`,
    ])
    lab.file('principals', 'deploy\n')
    lab.file('keys/ci-ca.pub', fs.readFileSync(`${lab.directory}/ca.pub`, 'utf8'))
    const state = path.join(lab.directory, 'state')
    identity = (await lab.mustPkctl('keygen', '--server', '--state-directory', state)).trim()
    daemon = await lab.daemon(lab.config(block('yaml')))
  })
  after(() => lab.remove())

  /** The commands of the page, for this lab. */
  const job = (id: string, validity = '+5m') => {
    const options = `-F none -o BatchMode=yes -o UserKnownHostsFile=${lab.directory}/known_hosts -o HostKeyAlias=server`
    const script = block('sh')
      .replace('-s ca', `-s ${lab.directory}/ca`)
      .replace('-V +5m', `-V ${validity}`)
      .replace('ssh -i', `ssh ${options} -i`)
      .replace('pkctl connect', `${process.execPath} ${pkctl} connect`)
      .replace('deploy@server.example ./deploy.sh', `${user}@${server4} echo deployed`)
    const env = { CI_JOB_ID: id, PKCTL_IDENTITY: identity, HOME: lab.directory, SSH_AUTH_SOCK: undefined }
    return lab.from(['sh', '-eu', '-c', script], { env })
  }

  it('knocks and logs in with a certificate of its own, and the log names it', async test => {
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const start = performance.now()
    const { status, stdout, stderr } = await job('4711')
    test.diagnostic(`from the start of the job to the end of ssh: ${Math.round(performance.now() - start)} ms`)
    assert.equal(stderr, '')
    assert.deepEqual([status, stdout], [0, 'deployed\n'])
    // Not for the window of ten minutes: the certificate is for five.
    await daemon.says(/knock by deploy \(SHA256:\S+, certificate 'job-4711' .* opens ssh for (2\d\d|300) s/)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('is kept out with a certificate that has expired', async () => {
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    const { status, stdout, stderr } = await job('4712', '-10m:-5m')
    assert.deepEqual([status, stdout], [255, ''])
    await daemon.says(/refused: unknown key/)
    assert.match(stderr, /^pkctl: warning: the certificate 'job-4712' is not used: it has expired$/m)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })
})

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Command } from '../../../../src/nft/nft-json.js'
import { Standby } from '../../../../src/nft/reconcile/standby.js'
import type { NftSession } from '../../../../src/nft/nft-session.js'
import type { ServiceSpec } from '../../../../src/nft/table/service-spec.js'
import { service, ssh } from '../../../support/firewall-tools.js'

/** An nft that waits. */
class Waiting implements NftSession {
  readonly bytes = 0
  staged: readonly Command[] = []
  ran = 0
  isClosed = false
  end!: (reason: string) => void
  readonly ended = new Promise<string>(resolve => (this.end = resolve))

  constructor(readonly complaint: string | Error) {}

  run(): Promise<string> {
    throw new Error('it is for one transaction')
  }

  stage(_name: string, commands: readonly Command[]): () => Promise<string> {
    this.staged = commands
    return () => {
      this.ran++
      return this.complaint instanceof Error ? Promise.reject(this.complaint) : Promise.resolve(this.complaint)
    }
  }

  close(): Promise<void> {
    this.isClosed = true
    this.end('closed')
    return Promise.resolve()
  }
}

function scene(complaint: string | Error = '') {
  const sessions: Waiting[] = []
  const standby = new Standby(() => {
    const session = new Waiting(complaint)
    sessions.push(session)
    return session
  })
  const keep = (...specs: ServiceSpec[]) => {
    standby.keep(new Map(specs.map(spec => [spec.name, spec])))
  }
  return { standby, sessions, keep }
}

describe('what waits to close ports', () => {
  it('makes a table with the services only where there is none, and is ready for the next time at once', async () => {
    const { standby, sessions, keep } = scene()
    keep(ssh)
    keep({ ...ssh })
    assert.equal(sessions.length, 1)
    const { staged } = sessions[0] as Waiting
    assert.deepEqual(Object.keys(staged[0] ?? {}), ['create'])
    assert.match(JSON.stringify(staged), /"pk-ssh".*"gate-input"/)
    assert.doesNotMatch(JSON.stringify(staged), /"delete"|"knock-input"/)
    assert.equal(await standby.closePorts(), true)
    keep(ssh)
    assert.deepEqual(
      sessions.map(({ ran, isClosed }) => [ran, isClosed]),
      [
        [1, true],
        [0, false],
      ],
    )
    assert.deepEqual(sessions[1]?.staged, staged)
    assert.equal(await standby.closePorts(), true)
  })

  it('follows the services', async () => {
    const { standby, sessions, keep } = scene()
    keep(ssh)
    keep(ssh, service('web', { ports: [{ first: 80, last: 80 }], failOpen: true }))
    assert.deepEqual(
      sessions.map(({ isClosed }) => isClosed),
      [true, false],
    )
    assert.match(JSON.stringify(sessions[1]?.staged), /"alive"/)
    keep()
    assert.equal(await standby.closePorts(), false)
    assert.equal(sessions.length, 2)
  })

  it('has closed nothing where nft complains, or ends', async () => {
    for (const complaint of ['Error: Could not process rule: File exists', new Error('the nft session ended')]) {
      const { standby, keep } = scene(complaint)
      keep(ssh)
      assert.equal(await standby.closePorts(), false)
    }
  })

  it('is made ready again when its nft has ended', async () => {
    const { standby, sessions, keep } = scene()
    keep(ssh)
    sessions[0]?.end('SIGKILL')
    await Promise.resolve()
    keep(ssh)
    assert.equal(sessions.length, 2)
    standby.stop()
    assert.equal(sessions[1]?.isClosed, true)
    assert.equal(await standby.closePorts(), false)
  })
})

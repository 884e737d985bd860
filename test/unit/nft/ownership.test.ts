import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NftError } from '../../../src/nft/nft-errors.js'
import type { Command } from '../../../src/nft/nft-json.js'
import { addChain } from '../../../src/nft/nft-json.js'
import type { Listing } from '../../../src/nft/listing.js'
import { emptyListing } from '../../../src/nft/listing.js'
import { TableOwner } from '../../../src/nft/ownership.js'
import type { NftSession } from '../../../src/nft/nft-session.js'
import { TimeLimitError } from '../../../src/util/index.js'

class FakeSession implements NftSession {
  bytes = 0
  readonly ran: (readonly Command[])[] = []
  isClosed = false
  isStaged = false
  end!: (reason: string) => void
  readonly ended = new Promise<string>(resolve => (this.end = resolve))

  constructor(readonly answer: (commands: readonly Command[]) => string | Error) {}

  run(_name: string, commands: readonly Command[]): Promise<string> {
    this.ran.push(commands)
    const answer = this.answer(commands)
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }

  stage(name: string, commands: readonly Command[]): () => Promise<string> {
    this.isStaged = true
    return () => this.run(name, commands)
  }

  close(): Promise<void> {
    this.isClosed = true
    this.end('closed')
    return Promise.resolve()
  }
}

class Scene {
  listing: Listing = { ...emptyListing(), present: true, persist: true, release: '1.1.3' }
  answer: (commands: readonly Command[]) => string | Error = () => ''
  opens: () => void = () => undefined
  readonly direct: (readonly Command[])[] = []
  readonly sessions: FakeSession[] = []
  readonly said: string[] = []
  readonly owner = new TableOwner(
    {
      apply: commands => Promise.resolve(void this.direct.push(commands)),
      check: commands => Promise.resolve(void this.direct.push(commands)),
      list: () => Promise.resolve(this.listing),
      listSet: () => Promise.resolve(this.listing),
      getElement: () => Promise.resolve(undefined),
    },
    () => {
      this.opens()
      const session = new FakeSession(commands => this.answer(commands))
      this.sessions.push(session)
      return session
    },
    {
      lost: (reason, isBack) => void this.said.push(`lost ${reason}, ${isBack ? 'back' : 'gone'}`),
      announce: owns => void this.said.push(owns ? 'owns' : 'owns not'),
    },
  )
}

const chain = [addChain('a')]
const settled = () => new Promise(resolve => setImmediate(resolve))
const error = (words: string) => `internal:0:0-0: Error: Could not process rule: ${words}\n\n`

describe('TableOwner', () => {
  it('tries with a table of its own whether it can, and not with an nft that cannot', async () => {
    const scene = new Scene()
    assert.equal(await scene.owner.canOwn(), true)
    const [made, removed] = scene.sessions[0]?.ran ?? []
    assert.match(JSON.stringify(made), /"add":.*"pkctl-probe-\d+","flags":\["owner","persist"\]/)
    assert.match(JSON.stringify(removed), /"delete":.*"pkctl-probe-\d+"/)
    assert.equal(scene.sessions[0]?.isClosed, true)

    const refused = new Scene()
    refused.answer = () => error('Operation not supported')
    assert.equal(await refused.owner.canOwn(), false)

    const old = new Scene()
    old.listing = { ...emptyListing(), release: '1.0.6' }
    assert.equal(await old.owner.canOwn(), false)
    assert.equal(old.sessions.length, 0)
  })

  it('a try that gave no answer is made again', async () => {
    const scene = new Scene()
    for (const answer of [new Error('ended'), error('Cannot allocate memory')]) {
      scene.answer = () => answer
      await assert.rejects(scene.owner.canOwn())
    }
    scene.answer = () => ''
    assert.equal(await scene.owner.canOwn(), true)
  })

  it('takes only a table that is there and persists', async () => {
    const scene = new Scene()
    scene.listing = { ...scene.listing, persist: false }
    assert.equal(await scene.owner.take(), 'not-persistent')
    scene.listing = emptyListing()
    assert.equal(await scene.owner.take(), 'absent')
    assert.equal(scene.sessions.length, 0)
    await scene.owner.nft.apply(chain)
    assert.deepEqual(scene.direct, [chain])
  })

  it('makes changes in its session, and directly after it has given the table up', async () => {
    const scene = new Scene()
    assert.equal(await scene.owner.take(), 'owned')
    await scene.owner.nft.apply(chain)
    assert.deepEqual(scene.sessions[0]?.ran.at(-1), chain)
    assert.deepEqual(scene.direct, [])
    scene.answer = () => error('Device or resource busy')
    await assert.rejects(scene.owner.nft.apply(chain), (thrown: NftError) => thrown.kind === 'busy')
    await scene.owner.release()
    assert.equal(scene.sessions[0].isClosed, true)
    assert.equal(await scene.owner.applyOwned(chain, 'apply'), false)
    await scene.owner.nft.apply(chain)
    assert.deepEqual(scene.direct, [chain])
    assert.deepEqual(scene.said, ['owns', 'owns not'])
  })

  it('tries a change by one that the kernel refuses for nothing else', async () => {
    const scene = new Scene()
    await scene.owner.take()
    scene.answer = () => error('No such file or directory').repeat(2)
    await scene.owner.nft.check(chain)
    const tried = scene.sessions[0]?.ran.at(-1) ?? []
    assert.deepEqual(tried.slice(0, 1), chain)
    assert.match(JSON.stringify(tried.slice(1)), /"delete".*pkctl-no-1.*"delete".*pkctl-no-2/)
    scene.answer = () => error('Device or resource busy') + error('No such file or directory').repeat(2)
    await assert.rejects(scene.owner.nft.check(chain), (thrown: NftError) => thrown.kind === 'busy')
    scene.answer = () => error('No such file or directory')
    await assert.rejects(scene.owner.nft.check(chain), (thrown: NftError) => thrown.kind === 'not-found')
  })

  it('adopts the table again when its session ends, and changes wait for that', async () => {
    const scene = new Scene()
    await scene.owner.take()
    scene.sessions[0]?.end('SIGKILL')
    await settled()
    await scene.owner.nft.apply(chain)
    assert.deepEqual(scene.sessions[1]?.ran.at(-1), chain)
    assert.deepEqual(scene.said, ['owns', 'owns', 'lost SIGKILL, back'])
  })

  it('a request without an answer fails, and the next one has another session', async () => {
    const scene = new Scene()
    await scene.owner.take()
    scene.answer = commands =>
      JSON.stringify(commands) === JSON.stringify(chain) ? new TimeLimitError('nft, 1 command', 10) : ''
    await assert.rejects(scene.owner.nft.apply(chain), (thrown: NftError) => thrown.kind === 'no-answer')
    scene.answer = () => ''
    await scene.owner.nft.apply([addChain('b')])
    assert.equal(scene.sessions.length, 2)
    assert.equal(scene.sessions[0]?.isClosed, true)
    assert.deepEqual(scene.said, ['owns', 'owns', 'lost nft, 1 command did not end within 10 s and was killed, back'])
  })

  it('is no owner any more where the table cannot be adopted again', async () => {
    const scene = new Scene()
    await scene.owner.take()
    scene.answer = () => error('Operation not permitted')
    scene.sessions[0]?.end('exit status 1')
    await settled()
    await scene.owner.nft.apply(chain)
    assert.deepEqual(scene.direct, [chain])
    assert.equal(scene.owner.owns, false)
    assert.match(scene.said.join('; '), /^owns; owns not; lost exit status 1; nft, adopting .*not permitted, gone$/)
  })

  it('is no owner any more where no session starts', async () => {
    const scene = new Scene()
    await scene.owner.take()
    scene.opens = () => {
      throw new Error('spawn ENOMEM')
    }
    scene.sessions[0]?.end('exit status 1')
    await settled()
    assert.equal(scene.owner.owns, false)
    assert.match(scene.said.join('; '), /^owns; owns not; lost exit status 1; nft, adopting .*ENOMEM, gone$/)
    await assert.rejects(scene.owner.take(), (thrown: NftError) => thrown.message.includes('ENOMEM'))
  })

  it('replaces a session that was sent much', async () => {
    const scene = new Scene()
    await scene.owner.take()
    Object.assign(scene.sessions[0] as FakeSession, { bytes: 2 ** 25 })
    await scene.owner.nft.apply(chain)
    await scene.owner.nft.apply(chain)
    assert.equal(scene.sessions.length, 2)
    assert.deepEqual(scene.said, ['owns', 'owns'])
  })

  it('has the next session ready before it closes the old one, and asks nothing in between', async () => {
    const scene = new Scene()
    await scene.owner.take()
    const [old] = scene.sessions as [FakeSession]
    let lists = 0
    scene.owner.direct.list = () => Promise.resolve((lists++, scene.listing))
    const close = old.close.bind(old)
    old.close = () => {
      assert.equal(scene.sessions[1]?.isStaged, true)
      assert.deepEqual(scene.sessions[1].ran, [], 'while the old one owns the table')
      return close()
    }
    old.bytes = 2 ** 25
    await scene.owner.nft.apply(chain)
    await settled()
    assert.match(
      JSON.stringify(scene.sessions[1]?.ran[0]),
      /"add":\{"chain".*"add":\{"table".*"owner".*"delete":\{"chain"/,
    )
    assert.equal(scene.owner.owns, true)
    assert.equal(lists, 0)
  })

  it('says at once that it could not replace a session, so that another try is made', async () => {
    const scene = new Scene()
    await scene.owner.take()
    let isLost = false
    scene.answer = commands => (JSON.stringify(commands).includes('owner') ? error('Cannot allocate memory') : '')
    scene.owner.onLost = () => (isLost = true)
    Object.assign(scene.sessions[0] as FakeSession, { bytes: 2 ** 25 })
    await scene.owner.nft.apply(chain)
    await settled()
    assert.equal(scene.owner.owns, false)
    assert.equal(isLost, true)
    assert.match(scene.said.join('; '), /^owns; owns not; lost nft, adopting .*Cannot allocate memory, gone$/)
  })
})

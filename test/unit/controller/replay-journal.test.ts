import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Remembered } from '../../../src/controller/replay/caches-by-credential.js'
import { ReplayJournal } from '../../../src/controller/replay/replay-journal.js'
import { parsePkdKey, parseTag, pkd } from '../../../src/knock/pkd.js'

const recordLength = 32
const rotateAt = 1 << 20
const now = 1_700_000_000

const credential = (key: string, skew = 10): Remembered => ({
  identity: pkd.identityOf({ tag: parseTag('PKD0'), key: parsePkdKey(key) }),
  skew,
})
const laptop = credential('test')
const phone = credential('phone')
const anyClock = credential('any', -1)
const digestOf = (name: string | number) => createHash('sha256').update(String(name)).digest()

/** What became of a journal's directory over several lives of the daemon. */
class State {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-journal-'))
  readonly limits = { entries: 1_000_000, anyClockEntries: 100_000 }
  report: (message: string) => void = () => undefined
  #journal: ReplayJournal | undefined

  get journal(): ReplayJournal {
    assert.ok(this.#journal)
    return this.#journal
  }

  /** Ends this life without ceremony and begins the next; all that counts is on disk already. */
  open(at = now): ReplayJournal {
    this.#journal?.close()
    return (this.#journal = ReplayJournal.open(this.directory, this.limits, at, message => this.report(message)))
  }

  file(name = 'replays'): string {
    return path.join(this.directory, name)
  }

  size(name = 'replays'): number {
    return fs.statSync(this.file(name)).size
  }

  /** A knock that was judged new. */
  honour(who: Remembered, name: string | number, time: number): void {
    const digest = digestOf(name)
    this.journal.cacheFor(who).remember(digest, 0, time)
    this.journal.append(who, digest, 0, time)
  }

  check(who: Remembered, name: string | number, time: number, at = time): string {
    return this.journal.cacheFor(who).check(digestOf(name), 0, time, at)
  }

  /** Enough knocks that the next commit may begin a new file. */
  fill(who: Remembered, time: number): void {
    for (let i = 0; i <= rotateAt / recordLength; i++) this.honour(who, `${time} ${i}`, time)
    this.journal.commit(time)
  }

  remove(): void {
    limitFiles('unlimited')
    this.#journal?.close()
    fs.rmSync(this.directory, { recursive: true })
  }
}

/** Lets no file of this process grow beyond so many bytes, which is as good as a full disk. */
function limitFiles(bytes: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`])
  assert.equal(status, 0, stderr.toString())
}

let state: State
beforeEach(() => {
  state = new State()
  state.open()
})
afterEach(() => state.remove())

describe('Journal', () => {
  it('is only for its owner', () => {
    const { mode } = fs.statSync(state.file())
    assert.equal(mode & 0o777, 0o600)
    const inner = path.join(state.directory, 'made', 'new')
    ReplayJournal.open(inner, state.limits, now).close()
    assert.equal(fs.statSync(inner).mode & 0o777, 0o700)
  })

  it('remembers over a restart, each knock for its credential', () => {
    state.honour(laptop, 'a', now)
    state.honour(phone, 'b', now)
    state.honour(anyClock, 'c', 2 ** 33)
    state.journal.commit(now)
    state.open()
    assert.deepEqual(
      [state.check(laptop, 'a', now), state.check(phone, 'b', now), state.check(anyClock, 'c', 2 ** 33)],
      ['replayed', 'replayed', 'replayed'],
    )
    assert.deepEqual([state.check(phone, 'a', now), state.check(laptop, 'b', now)], ['new', 'new'])
    assert.equal(state.journal.damaged, 0)
  })

  it('writes 32 bytes for a knock, and nothing before commit', () => {
    state.honour(laptop, 'a', now)
    assert.equal(state.size(), 0)
    state.journal.commit(now)
    assert.equal(state.size(), recordLength)
    state.journal.commit(now)
    assert.equal(state.size(), recordLength)
    for (let i = 0; i < 1000; i++) state.honour(laptop, i, now)
    state.journal.commit(now)
    assert.equal(state.size(), 1001 * recordLength)
  })

  it('has a record that stays as it is written here', () => {
    state.journal.append(laptop, Buffer.from('00112233445566778899aabbccddeeff', 'hex'), 0, 2 ** 32 + 5)
    state.journal.commit(now)
    const record = fs.readFileSync(state.file()).toString('hex')
    assert.equal(record.slice(0, 48), '00112233445566778899aabbccddeeff0500000001000000')
    const key = Buffer.concat([Buffer.from('test')], 40)
    const id = createHash('sha256').update('pkctl replay journal 1').update('PKD0').update(key).digest()
    assert.equal(record.slice(48, 56), id.toString('hex', 0, 4))
  })

  for (const time of [0, 1, now, 2 ** 32, 2 ** 40, now * 1000, 2 ** 53, 2 ** 63, 2 ** 64]) {
    it(`knows a knock stamped ${time} again after a restart, with any clock`, () => {
      state.honour(anyClock, 'a', time)
      state.journal.commit(now)
      state.open()
      assert.notEqual(state.check(anyClock, 'a', time, now), 'new')
    })
  }

  it('a record cut off in the middle is none, and those behind it are whole', () => {
    for (const name of ['a', 'b']) state.honour(laptop, name, now)
    state.journal.commit(now)
    for (let cut = 1; cut < recordLength; cut++) {
      fs.truncateSync(state.file(), 2 * recordLength - cut)
      state.open()
      assert.equal(state.size(), recordLength, 'the rest is cut off too')
      assert.deepEqual([state.check(laptop, 'a', now), state.check(laptop, 'b', now)], ['replayed', 'new'])
      state.honour(laptop, 'b', now)
      state.journal.commit(now)
      state.open()
      assert.deepEqual([state.check(laptop, 'a', now), state.check(laptop, 'b', now)], ['replayed', 'replayed'])
      assert.equal(state.journal.damaged, 0)
    }
  })

  describe('with a damaged record', () => {
    const damage = (at: number) => {
      const bytes = fs.readFileSync(state.file())
      bytes[at] = (bytes[at] as number) ^ 1
      fs.writeFileSync(state.file(), bytes)
    }

    for (const [name, at] of [
      ['digest', 0],
      ['time', 16],
      ['credential', 24],
      ['check', 31],
    ] as const) {
      it(`(${name}) accepts nothing that can have been honoured before the start, of any credential`, () => {
        state.honour(laptop, 'a', now - 5)
        state.honour(phone, 'b', now - 5)
        state.journal.commit(now)
        damage(at)
        const { damaged } = state.open(now)
        assert.equal(damaged, 1)
        assert.equal(state.check(laptop, 'a', now - 5, now), 'stale')
        assert.equal(state.check(phone, 'c', now, now), 'stale')
        assert.equal(state.check(phone, 'c', now + 10, now), 'stale', 'of a client whose clock is ahead by the skew')
        assert.equal(state.check(phone, 'b', now - 5, now), 'replayed')
        assert.deepEqual(
          [state.check(laptop, 'a', now + 11, now + 1), state.check(phone, 'c', now + 11, now + 1)],
          ['new', 'new'],
        )
      })
    }

    it('accepts, with any clock, nothing up to the latest knock that is known', () => {
      state.honour(anyClock, 'lost', now + 5000)
      for (const [name, time] of [
        ['a', now + 9000],
        ['b', now + 4000],
      ] as const)
        state.honour(anyClock, name, time)
      state.journal.commit(now)
      damage(3)
      state.open(now)
      assert.equal(state.check(anyClock, 'lost', now + 5000, now), 'stale')
      assert.equal(state.check(anyClock, 'a', now + 9000, now), 'replayed')
      assert.equal(state.check(anyClock, 'new', now + 9001, now), 'new')
    })

    it('still does so when the only record of a credential is the damaged one, and the clock was set back', () => {
      state.honour(anyClock, 'a', 5)
      state.journal.commit(now)
      damage(3)
      state.open(now)
      assert.equal(state.check(anyClock, 'a', 5, now), 'stale')
    })
  })

  it('a digest of zeros raises the floor', () => {
    state.journal.append(laptop, Buffer.alloc(16), 0, now)
    state.journal.commit(now)
    state.open()
    assert.deepEqual([state.check(laptop, 'x', now), state.check(laptop, 'x', now + 1)], ['stale', 'new'])
    assert.equal(state.check(phone, 'x', now), 'new')
  })

  it('gives a credential the same memory after a reload', () => {
    assert.equal(state.journal.cacheFor(laptop), state.journal.cacheFor({ ...laptop }))
    assert.notEqual(state.journal.cacheFor(laptop), state.journal.cacheFor(phone))
  })

  it('keeps what it knows when the skew changes', () => {
    for (const [from, to] of [
      [10, 100],
      [100, 10],
      [10, -1],
      [-1, 10],
    ] as const) {
      state.honour(credential('k', from), `${from}`, now)
      state.journal.cacheFor(credential('k', from)).raiseFloor(now - 3)
      assert.equal(state.check(credential('k', to), `${from}`, now), 'replayed', `${from} to ${to}`)
      assert.equal(state.check(credential('k', to), 'x', now - 3, now), 'stale', `${from} to ${to}`)
    }
  })

  it('knows a credential that was gone and comes back, within a life and after a restart', () => {
    state.honour(laptop, 'a', now)
    state.journal.commit(now)
    state.open()
    state.journal.cacheFor(phone) // the configuration has only this one
    state.open()
    assert.equal(state.check(laptop, 'a', now), 'replayed')
  })
})

describe('Journal, when its file has grown', () => {
  it('a clock that is set back makes no knock of before new again, however many came since', () => {
    state.open()
    state.honour(laptop, 'early', now)
    state.journal.commit(now)
    const back = now - 6 * 3600
    state.open(back)
    state.journal.cacheFor(laptop)
    for (let round = 1; round <= 3; round++) state.fill(laptop, back + 100 * round)
    assert.equal(state.check(laptop, 'early', now), 'replayed')
    state.open(back + 400)
    assert.equal(state.check(laptop, 'early', now), 'replayed', 'also after a restart')
  })

  it('begins a new one, and the older one stays for as long as its knocks are acceptable', () => {
    state.fill(laptop, now)
    state.honour(laptop, 'early', now + 20)
    state.journal.commit(now + 20)
    assert.equal(fs.existsSync(state.file('replays.old')), false, 'not before twice the skew')
    state.honour(laptop, 'last', now + 21)
    state.journal.commit(now + 21)
    assert.ok(state.size('replays.old') > rotateAt)
    assert.ok(state.size() <= 3 * recordLength)
    assert.equal(fs.existsSync(state.file('replays.new')), false)
    state.open(now + 21)
    for (const [name, time] of [
      ['early', now + 20],
      ['last', now + 21],
    ] as const) {
      assert.equal(state.check(laptop, name, time, now + 21), 'replayed')
    }
  })

  it('stays small', () => {
    for (let i = 1; i <= 5; i++) state.fill(laptop, now + 100 * i)
    assert.ok(state.size() + state.size('replays.old') < 3 * rotateAt)
    assert.equal(fs.readdirSync(state.directory).length, 2)
  })

  it('keeps what it must for ever: any clock, floors, credentials that are gone', () => {
    state.honour(anyClock, 'a', 7)
    state.honour(phone, 'gone', now)
    state.journal.cacheFor(laptop).raiseFloor(now - 1)
    state.journal.commit(now)
    state.open()
    state.journal.cacheFor(anyClock)
    state.journal.cacheFor(laptop).raiseFloor(now + 5)
    for (let i = 1; i <= 4; i++) state.fill(laptop, now + 100 * i)
    state.open()
    assert.equal(state.check(anyClock, 'a', 7, now), 'replayed')
    assert.equal(state.check(anyClock, 'b', 7, now), 'new')
    assert.notEqual(state.check(phone, 'gone', now), 'new')
    assert.equal(state.check(laptop, 'never seen', now + 5), 'stale')
    assert.equal(state.journal.damaged, 0)
  })

  it('keeps out what a quiet credential had honoured, should the clock be set back later', () => {
    state.honour(phone, 'quiet', now)
    state.journal.commit(now)
    for (let i = 1; i <= 4; i++) state.fill(laptop, now + 100 * i)
    state.open(now)
    assert.notEqual(state.check(phone, 'quiet', now, now), 'new')
  })

  it('knows everything when it was killed between the two renamings', () => {
    state.honour(anyClock, 'a', 7)
    state.fill(laptop, now)
    state.honour(laptop, 'b', now + 100)
    state.journal.commit(now + 100)
    fs.renameSync(state.file(), state.file('replays.new'))
    state.open(now + 100)
    assert.equal(state.check(anyClock, 'a', 7, now), 'replayed')
    assert.equal(state.check(laptop, 'b', now + 100), 'replayed')
    for (let i = 2; i <= 4; i++) state.fill(laptop, now + 100 * i)
    state.open()
    assert.equal(state.check(anyClock, 'a', 7, now), 'replayed')
  })
})

describe('Journal, when the disk is full', () => {
  const commitFails = (at = now) => assert.throws(() => state.journal.commit(at), { code: 'EFBIG' })

  for (const [name, rotated] of [
    ['from the start', false],
    ['after it began a new file', true],
  ] as const) {
    it(`throws, leaves no half record, and goes on when there is room again: ${name}`, () => {
      if (rotated) {
        state.fill(laptop, now)
        state.honour(laptop, 'first', now + 100)
        state.journal.commit(now + 100)
      }
      state.honour(laptop, 'before', now + 100)
      state.journal.commit(now + 100)
      const size = state.size()
      limitFiles(size + 40)
      for (const name of ['lost', 'lost too']) state.honour(laptop, name, now + 100)
      commitFails(now + 100)
      assert.equal(state.size(), size)
      limitFiles('unlimited')
      state.journal.commit(now + 100)
      assert.equal(state.size(), size, 'packets without a valid knock do not try again')
      state.honour(laptop, 'after', now + 100)
      state.journal.commit(now + 100)
      assert.equal(state.size(), size + 3 * recordLength, 'what was refused is used up, and written now')
      state.open(now + 100)
      assert.equal(state.journal.damaged, 0)
      const judge = (name: string) => state.check(laptop, name, now + 100)
      assert.deepEqual([judge('before'), judge('after'), judge('lost')], ['replayed', 'replayed', 'replayed'])
    })
  }

  it('writes what was refused as soon as there is room, without another knock', () => {
    limitFiles(0)
    state.honour(laptop, 'lost', now)
    commitFails()
    state.journal.keep(now)
    assert.equal(state.size(), 0)
    limitFiles('unlimited')
    state.journal.keep(now)
    state.open(now)
    assert.equal(state.check(laptop, 'lost', now), 'replayed')
  })

  it('keeps a limited number of them', () => {
    limitFiles(0)
    for (let i = 0; i < 40_000; i++) state.honour(laptop, i, now)
    commitFails()
    limitFiles('unlimited')
    state.journal.keep(now)
    assert.equal(state.size(), 32_768 * recordLength)
  })

  for (const room of [0, 100]) {
    it(`just when a new file is due, of which ${room} bytes fit: throws, and goes on when there is room again`, () => {
      state.fill(laptop, now)
      for (let i = 0; i < 10; i++) state.honour(anyClock, i, 7)
      state.journal.commit(now)
      limitFiles(room)
      state.honour(laptop, 'lost', now + 100)
      commitFails(now + 100)
      limitFiles('unlimited')
      state.honour(laptop, 'after', now + 101)
      state.journal.commit(now + 101)
      state.open(now + 101)
      assert.equal(state.check(laptop, 'after', now + 101), 'replayed')
      for (let i = 0; i < 10; i++) assert.equal(state.check(anyClock, i, 7, now), 'replayed')
      assert.equal(state.journal.damaged, 0)
    })
  }

  it('goes on with the old file when a new one cannot take its place, and tries again', () => {
    state.fill(laptop, now)
    state.honour(anyClock, 'a', 7)
    state.journal.commit(now)
    fs.mkdirSync(state.file('replays.old'))
    for (const i of [1, 2]) {
      const size = state.size()
      state.honour(laptop, i, now + 100)
      state.journal.commit(now + 100)
      assert.equal(state.size(), size + recordLength)
      assert.equal(fs.existsSync(state.file('replays.new')), false)
    }
    fs.rmdirSync(state.file('replays.old'))
    state.honour(laptop, 3, now + 100)
    state.journal.commit(now + 100)
    assert.ok(state.size('replays.old') > rotateAt)
    assert.ok(state.size() <= 4 * recordLength)
    state.open(now + 100)
    for (const i of [1, 2, 3]) assert.equal(state.check(laptop, i, now + 100), 'replayed')
    assert.equal(state.check(anyClock, 'a', 7, now), 'replayed')
    assert.equal(state.journal.damaged, 0)
  })

  it('cannot be opened where there is no directory to be had', () => {
    const file = state.file('a file')
    fs.writeFileSync(file, '')
    assert.throws(() => ReplayJournal.open(path.join(file, 'state'), state.limits, now), { code: 'ENOTDIR' })
  })
})

describe('Journal, when another program takes its file away', () => {
  let reports: string[]
  beforeEach(() => {
    reports = []
    state.report = message => reports.push(message)
    state.open()
    state.honour(laptop, 'before', now)
    state.honour(anyClock, 'any', 7)
    state.journal.commit(now)
  })

  const ways: readonly [string, () => void][] = [
    ['removes it', () => fs.rmSync(state.file())],
    [
      'replaces it',
      () => {
        fs.rmSync(state.file())
        fs.writeFileSync(state.file(), '')
      },
    ],
    ['renames it', () => fs.renameSync(state.file(), state.file('elsewhere'))],
    [
      'puts a link there',
      () => {
        fs.rmSync(state.file())
        fs.writeFileSync(state.file('target'), 'precious')
        fs.symlinkSync('target', state.file())
      },
    ],
  ]
  for (const [name, take] of ways) {
    for (const when of ['at the next knock', 'at an interval']) {
      it(`${name}: says so, and writes it again with all it knows, ${when}`, () => {
        take()
        if (when === 'at the next knock') {
          state.honour(laptop, 'after', now)
          state.journal.commit(now)
        } else state.journal.keep(now)
        assert.match(
          reports.join(),
          /^another program has removed or replaced the replay journal \S+; it is written again/,
        )
        assert.equal(fs.lstatSync(state.file()).isFile(), true)
        const target = state.file('target')
        if (fs.existsSync(target)) assert.equal(fs.readFileSync(target, 'utf8'), 'precious')
        state.open()
        assert.equal(state.check(laptop, 'before', now), 'replayed')
        assert.equal(state.check(anyClock, 'any', 7, now), 'replayed')
        assert.equal(state.check(laptop, 'after', now), when === 'at the next knock' ? 'replayed' : 'new')
        assert.equal(state.journal.damaged, 0)
      })
    }
  }

  it('counts what another daemon has written into the new one', () => {
    fs.renameSync(state.file(), state.file('first'))
    const other = ReplayJournal.open(state.directory, state.limits, now)
    const digest = digestOf('other')
    other.cacheFor(laptop).remember(digest, 0, now)
    other.append(laptop, digest, 0, now)
    other.commit(now)
    other.close()
    state.journal.keep(now)
    assert.deepEqual(
      ['before', 'other'].map(name => state.check(laptop, name, now)),
      ['replayed', 'replayed'],
    )
  })

  it('refuses knocks while it cannot be written, and says so once', () => {
    fs.rmSync(state.file())
    fs.mkdirSync(state.file())
    for (const name of ['a', 'b']) {
      state.honour(laptop, name, now)
      assert.throws(() => state.journal.commit(now))
      state.journal.keep(now)
    }
    assert.equal(reports.length, 1)
    assert.match(reports[0] ?? '', /and it cannot be written again/)
    fs.rmdirSync(state.file())
    state.journal.keep(now)
    state.open()
    assert.deepEqual(
      ['before', 'a', 'b'].map(name => state.check(laptop, name, now)),
      ['replayed', 'replayed', 'replayed'],
    )
  })
})

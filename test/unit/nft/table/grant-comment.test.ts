import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkedNote, grantComment, parseGrantComment } from '../../../../src/nft/table/grant-comment.js'

const at = Date.UTC(2030, 0, 31, 18, 0, 59)

describe('what a grant says of itself', () => {
  it('is read as it was written', () => {
    assert.equal(grantComment('root (sudo by ada)', 'on call', at), '2030-01-31T18:00Z root (sudo by ada): on call')
    for (const [who, note] of [
      ['root', undefined],
      ['root (sudo by ada)', 'why: Büro, 10.0.0.1 { } $x'],
    ] as const) {
      const expected = { at: '2030-01-31T18:00Z', who, ...(note === undefined ? {} : { note }) }
      assert.deepEqual(parseGrantComment(grantComment(who, note, at)), expected)
    }
    for (const other of [undefined, '', 'of another program', '2030-01-31 root']) {
      assert.equal(parseGrantComment(other), undefined)
    }
  })

  it('fits into the 127 bytes of the kernel, and ends no string of nft', () => {
    for (const who of ['x'.repeat(64), 'ü'.repeat(64), 'a:b"c\\d\n', '"'.repeat(64)]) {
      const comment = grantComment(who, 'n'.repeat(64), at)
      assert.ok(Buffer.byteLength(comment) <= 127, comment)
      assert.doesNotMatch(comment, /["\\\n]/)
      assert.equal(parseGrantComment(comment)?.note, 'n'.repeat(64))
    }
  })

  it('takes no note that would', () => {
    for (const note of ['', ' ', 'say "x"', 'a\\b', 'a\nb', 'a\u001b[31m', 'a\u202eb', 'n'.repeat(65), 'ü'.repeat(33)])
      assert.throws(() => checkedNote(note), { name: 'ValueError' }, JSON.stringify(note))
  })
})

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { drawQrCode, qrCode } from '../../../src/cli/output/qr-code.js'

const textOf = (length: number) => 'pkctl://a'.padEnd(length, 'xYz%/-q').slice(0, length)

/** Bytes of text, modules on a side, and SHA-256 of the rows in the digits 0 and 1, cut: as uqr 0.1.3 makes them with the same mask. */
const made: readonly [number, number, string][] = [
  [1, 21, '5bc6173678def8b7'],
  [17, 21, '6f1be849b1829580'],
  [18, 25, '0cf328b08f6ce223'],
  [106, 37, 'acef3c0a62351ba4'],
  [107, 41, 'df83e6d2d167b878'],
  [154, 45, '788865268ef055a6'],
  [155, 49, 'ae4c2aa797af2b85'],
  [271, 57, 'bcf67cddb11a464f'],
  [272, 61, 'f08a98280c975eb5'],
  [458, 73, 'a55f59219c647614'],
  [644, 85, 'b5fb581420c0c133'],
  [858, 97, '555406acee9ba1c4'],
]

describe('a QR code', () => {
  for (const [length, size, hash] of made) {
    it(`of ${length} bytes is that of another encoder`, () => {
      const modules = qrCode(textOf(length)) ?? []
      assert.equal(modules.length, size)
      const rows = modules.map(row => row.map(dark => (dark ? '1' : '0')).join(''))
      assert.equal(createHash('sha256').update(rows.join('\n')).digest('hex').slice(0, 16), hash)
    })
  }

  it('has no more than 858 bytes', () => assert.equal(qrCode(textOf(859)), undefined))

  it('is drawn with two rows in a line, its light modules in the margin as well', () => {
    const lines = drawQrCode([
      [true, false],
      [false, false],
      [true, true],
    ]).split('\n')
    // Three rows, two light ones above and two below.
    assert.deepEqual(
      lines.map(line => line.slice(0, 6)),
      ['██████', '██▄███', '██▄▄██', '▀▀▀▀▀▀'],
    )
  })
})

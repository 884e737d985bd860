import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chart } from '../../bench/chart.js'

const row = (name: string, value: number, panel = 'time') => ({
  what: '',
  figure: '',
  how: '',
  values: {},
  bar: { panel, name, value, label: `${value} ms` },
})

const widths = (svg: string) =>
  [...svg.matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map(([, width]) => Number(width))

describe('the picture of a benchmark', () => {
  it('has a bar for each figure, longer for more, on a logarithmic scale', () => {
    const [small = 0, middle = 0, large = 0] = widths(chart([row('a', 1), row('b', 10), row('c', 100)], '') ?? '')
    assert.ok(small > 0)
    assert.ok(Math.abs(large - middle - (middle - small)) <= 1)
  })

  it('has a bar without length for nothing, and escapes names', () => {
    const svg = chart([row('a<b', 0), row('c', 5)], 'a & b') ?? ''
    assert.equal(widths(svg)[0], 0)
    assert.match(svg, />a&lt;b</)
    assert.match(svg, />a &amp; b</)
  })

  it('gives each panel a scale of its own', () => {
    const [, one, , other] = widths(
      chart([row('a', 1), row('b', 2), row('a', 1000, 'rate'), row('b', 2000, 'rate')], '') ?? '',
    )
    assert.equal(one, other)
  })

  it('is none without figures that have a bar', () => {
    assert.equal(chart([], ''), undefined)
  })
})

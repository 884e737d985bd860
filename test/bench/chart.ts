/** Draws the figures that have a bar as an SVG: a panel of bars for each kind of figure, on a logarithmic scale. */
import type { Row } from './report.js'

/** Where a figure stands in the picture. */
export interface Bar {
  /** What is compared, with its unit: the title of the panel. */
  readonly panel: string
  /** Whose figure it is. */
  readonly name: string
  readonly value: number
  /** The figure as text. */
  readonly label: string
}

const width = 720
const nameWidth = 220
const labelWidth = 110
const barHeight = 18
const gap = 6
const titleHeight = 30
const margin = 16

const colours = ['#2563eb', '#6b7280', '#9ca3af', '#b45309', '#15803d', '#7c3aed']

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const text = (x: number, y: number, content: string, attributes = '') =>
  `<text x="${x}" y="${y}"${attributes}>${escaped(content)}</text>`

/** An SVG document, or undefined when no figure has a bar. */
export function chart(rows: readonly Row[], note: string): string | undefined {
  const bars = rows.flatMap(({ bar }) => (bar ? [bar] : []))
  if (bars.length === 0) return undefined
  const panels = [...new Set(bars.map(({ panel }) => panel))]
  const names = [...new Set(bars.map(({ name }) => name))]
  const colourOf = (name: string) => colours[names.indexOf(name) % colours.length] ?? '#000000'
  const lines: string[] = []
  let y = margin
  for (const panel of panels) {
    const here = bars.filter(bar => bar.panel === panel)
    lines.push(text(margin, y + 16, panel, ' font-weight="bold"'))
    y += titleHeight
    const lengthOf = scale(here.map(({ value }) => value))
    for (const bar of here) {
      const length = lengthOf(bar.value)
      const left = margin + nameWidth
      lines.push(
        text(left - 8, y + barHeight - 5, bar.name, ' text-anchor="end"'),
        `<rect x="${left}" y="${y}" width="${length}" height="${barHeight}" rx="2" fill="${colourOf(bar.name)}"/>`,
        text(left + length + 6, y + barHeight - 5, bar.label, ' fill="#374151"'),
      )
      y += barHeight + gap
    }
    y += gap
  }
  lines.push(text(margin, y + 14, note, ' fill="#6b7280" font-size="11"'))
  const height = y + 14 + margin
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="13">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n')
}

/** The length of a bar: half a decade below the smallest value is nothing, the largest value is all the room. */
function scale(values: readonly number[]): (value: number) => number {
  const room = width - 2 * margin - nameWidth - labelWidth
  const positive = values.filter(value => value > 0)
  const largest = Math.log10(Math.max(...positive))
  const none = Math.log10(Math.min(...positive)) - 0.5
  return value => (value > 0 ? Math.round(((Math.log10(value) - none) / (largest - none)) * room) : 0)
}

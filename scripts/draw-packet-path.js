// Draws docs/packet-path.svg from docs/packet-path.txt: draw-packet-path.js [--check]. With --check it only fails when the
// drawing is not that of the text.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const source = path.join(root, 'docs/packet-path.txt')
const target = path.join(root, 'docs/packet-path.svg')

const columnWidth = 290
const rowHeight = 136
const margin = 24
const boxWidth = 222
const titleHeight = 28
const lineHeight = 17

const colours = {
  packet: ['#f3f4f6', '#6b7280'],
  kernel: ['#e0ecff', '#2563eb'],
  daemon: ['#fdf0d5', '#b45309'],
  yes: ['#dcfce7', '#15803d'],
  no: ['#fee2e2', '#b91c1c'],
}

const escape = text => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function read(text) {
  const picture = { areas: [], boxes: new Map(), arrows: [] }
  for (const line of text.split('\n').filter(each => each !== '' && !each.startsWith('#'))) {
    const [head, ...rest] = line.split(':').map(part => part.trim())
    const [kind, name, , to] = head.split(' ')
    if (kind === 'area') {
      const [column, columns, row, rows] = rest[0].split(',').map(Number)
      picture.areas.push({ column, columns, row, rows, title: rest.slice(1).join(': ') })
    } else if (kind === 'box') {
      const [column, row] = rest[0].split(',').map(Number)
      const lines = rest.slice(3).join(': ').split('|')
      picture.boxes.set(name, { column, row, kind: rest[1], title: rest[2], lines: lines.map(each => each.trim()) })
    } else if (kind === 'arrow') {
      picture.arrows.push({ from: name, to, label: rest.join(': ') })
    } else throw new Error(`${source}: neither area, box nor arrow: ${line}`)
  }
  return picture
}

const text = (x, y, content, attributes = '') => `<text x="${x}" y="${y}"${attributes}>${escape(content)}</text>`

const heightOf = ({ lines }) => titleHeight + lines.length * lineHeight + 6
const centreOf = ({ column, row }) => ({
  x: margin + (column - 0.5) * columnWidth,
  y: margin + (row - 0.5) * rowHeight,
})

function drawArea({ column, columns, row, rows, title }) {
  const x = margin + (column - 1) * columnWidth + 8
  const y = margin + (row - 1) * rowHeight - 10
  const [width, height] = [columns * columnWidth - 16, rows * rowHeight + 14]
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="10" fill="#fafafa" stroke="#9ca3af" stroke-dasharray="5 4"/>`,
    text(x + width - 4, y - 8, title, ' text-anchor="end" fill="#6b7280" font-style="italic"'),
  ]
}

function drawBox(box) {
  const { x, y } = centreOf(box)
  const height = heightOf(box)
  const [fill, stroke] = colours[box.kind]
  const [left, top] = [x - boxWidth / 2, y - height / 2]
  return [
    `<rect x="${left}" y="${top}" width="${boxWidth}" height="${height}" rx="6" fill="${fill}" stroke="${stroke}" stroke-width="1.5"/>`,
    text(x, top + 20, box.title, ' text-anchor="middle" font-weight="bold"'),
    ...box.lines.map((line, i) => text(x, top + titleHeight + 12 + i * lineHeight, line, ' text-anchor="middle"')),
  ]
}

/** An arrow goes straight along a row or a column, or from the right of a box down to one further right. */
function drawArrow({ from, to, label }, boxes) {
  const [a, b] = [boxes.get(from), boxes.get(to)]
  if (!a || !b) throw new Error(`${source}: arrow ${from} -> ${to}: there is no such box`)
  const [start, end] = [centreOf(a), centreOf(b)]
  const named = (x, y, anchor) => (label === '' ? [] : [text(x, y, label, ` text-anchor="${anchor}" fill="#374151"`)])
  const line = d => `<path d="${d}" fill="none" stroke="#374151" stroke-width="1.5" marker-end="url(#head)"/>`
  if (a.row === b.row) {
    const side = Math.sign(b.column - a.column)
    const [x1, x2] = [start.x + (side * boxWidth) / 2, end.x - (side * boxWidth) / 2]
    return [line(`M${x1} ${start.y}H${x2 - 2 * side}`), ...named((x1 + x2) / 2, start.y - 8, 'middle')]
  }
  if (a.column === b.column) {
    const [y1, y2] = [start.y + heightOf(a) / 2, end.y - heightOf(b) / 2]
    return [line(`M${start.x} ${y1}V${y2 - 2}`), ...named(start.x + 8, (y1 + y2) / 2 + 5, 'start')]
  }
  const [x1, y2] = [start.x + boxWidth / 2, end.y - heightOf(b) / 2]
  return [line(`M${x1} ${start.y}H${end.x}V${y2 - 2}`), ...named(x1 + 12, start.y - 8, 'start')]
}

function draw({ areas, boxes, arrows }) {
  const columns = Math.max(...[...boxes.values()].map(({ column }) => column))
  const rows = Math.max(...[...boxes.values()].map(({ row }) => row))
  const [width, height] = [2 * margin + columns * columnWidth, 2 * margin + rows * rowHeight]
  // The background is drawn, so that the picture is legible on dark pages as well.
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#111827">`,
    '<title>The path of a packet through pkctl</title>',
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#374151"/></marker></defs>',
    `<rect width="${width}" height="${height}" rx="12" fill="#ffffff" stroke="#d1d5db"/>`,
    ...areas.flatMap(drawArea),
    ...arrows.flatMap(arrow => drawArrow(arrow, boxes)),
    ...[...boxes.values()].flatMap(drawBox),
    '</svg>',
    '',
  ].join('\n')
}

const drawn = draw(read(readFileSync(source, 'utf8')))
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== drawn) {
    console.error('docs/packet-path.svg is not that of docs/packet-path.txt: node scripts/draw-packet-path.js')
    process.exitCode = 1
  }
} else writeFileSync(target, drawn)

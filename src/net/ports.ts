/** Ports and ranges of ports: parse, merge, subtract, print. */
import { unexpected } from '../util/index.js'

/** A single port is a range with equal ends. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

const maxPort = 65_535
const isPort = (port: number) => port >= 1 && port <= maxPort

/** One port, for which 0 and ranges are errors. */
export function parsePort(value: string | number): number {
  if (!/^\d{1,5}$/.test(String(value)) || !isPort(Number(value))) {
    throw unexpected(`a port from 1 to ${maxPort}`, value)
  }
  return Number(value)
}

/** `22`, `6000-6010`, or several with commas between them; merged and in ascending order. */
export function parsePorts(value: string | number): PortRange[] {
  return mergePorts(
    String(value)
      .split(',')
      .map(part => parsePortRange(typeof value === 'number' ? value : part.trim())),
  )
}

function parsePortRange(value: string | number): PortRange {
  const [, first, last] = /^(\d{1,5})\s*-\s*(\d{1,5})$/.exec(String(value)) ?? []
  if (first === undefined || last === undefined) {
    const port = parsePort(value)
    return { first: port, last: port }
  }
  const range = { first: Number(first), last: Number(last) }
  if (!isPort(range.first) || !isPort(range.last)) throw unexpected(`a range of ports from 1 to ${maxPort}`, value)
  if (range.first > range.last) throw unexpected('a range with the lower port first', value)
  return range
}

/** Ascending, with ranges that overlap or touch made one. */
export function mergePorts(ranges: readonly PortRange[]): PortRange[] {
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (before && first <= before.last + 1) before.last = Math.max(before.last, last)
    else merged.push({ first, last })
  }
  return merged
}

/** The ports of `ranges` without those of `taken`; both merged, as `mergePorts` gives them. */
export function subtractPorts(ranges: readonly PortRange[], taken: readonly PortRange[]): PortRange[] {
  return taken.reduce<readonly PortRange[]>(
    (left, { first, last }) =>
      left.flatMap(range => {
        const below = { first: range.first, last: Math.min(range.last, first - 1) }
        const above = { first: Math.max(range.first, last + 1), last: range.last }
        return [below, above].filter(part => part.first <= part.last)
      }),
    ranges,
  ) as PortRange[]
}

/** `22` or `6000-6010`. */
export const formatPortRange = ({ first, last }: PortRange): string =>
  first === last ? String(first) : `${first}-${last}`

/** `22,6000-6010` */
export const formatPorts = (ranges: readonly PortRange[]): string => ranges.map(formatPortRange).join(',')

/** What a part of the benchmarks finds, and how it is shown. */
import type { Bar } from './chart.js'

export interface Row {
  readonly what: string
  readonly figure: string
  readonly how: string
  /** The numbers behind the figure, for machines. */
  readonly values: Readonly<Record<string, unknown>>
  /** Where the figure belongs in a picture. */
  readonly bar?: Bar
}

/** The values in ascending order. */
const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b)

/** The value below which the share `q` of them lies; NaN without any. */
export function quantile(values: readonly number[], q: number): number {
  const all = sorted(values)
  return all[Math.min(all.length - 1, Math.floor(q * all.length))] ?? NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** How far the middle half of them lies apart, as a share of the median: how noisy a figure is. */
export function spread(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

export const percent = (share: number, digits = 1): string => `${(share * 100).toFixed(digits)} %`

/** 123456 as 123,456. */
export const grouped = (value: number): string => Math.round(value).toLocaleString('en-US')

export const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`

/** `median 0.21 ms, p99 0.40 ms` */
export function latency(milliseconds: readonly number[]): string {
  return `median ${median(milliseconds).toFixed(2)} ms, p99 ${quantile(milliseconds, 0.99).toFixed(2)} ms`
}

/** A markdown table, padded so that it can be read as it is. */
export function markdownTable(rows: readonly Row[]): string {
  const cells = [['What', 'Figure', 'How measured'], ...rows.map(({ what, figure, how }) => [what, figure, how])]
  const widths = [0, 1].map(column => Math.max(...cells.map(row => (row[column] as string).length)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const rule = `| ${widths.map(width => '-'.repeat(width)).join(' | ')} | --- |`
  return [line(cells[0] as string[]), rule, ...cells.slice(1).map(line)].join('\n')
}

/** Says what is going on, beside the table. */
export function progress(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

/** Keys that look like something else to a parser, and where they stand. */
import assert from 'node:assert/strict'

/** Part of each odd key, and of nothing else. */
const marker = 'Zq7Xw'
const odd = [
  ...['!', '*', '|', '>', '&', '%', '@', '`', '"', "'", '#', ',', ':', '{', '}', '[', ']', '-', '?', '\\', '=', '~'],
  ...[': ', ' #', ', ', '- ', '? ', '!!', '!<', '|-', '>+', '---', '%TAG ', '<<: ', 'key: ', 'kez: ', ',tga: ', '\\x'],
  ...['!!int ', '!!binary ', '&a ', '*a ', "'''", '"" ', ' ', '\t', '  ', '0x', 'é', '', ' : ', '::', '{{', '}}', '];'],
]

/** Always the same ones. */
export function oddKeys(count: number): string[] {
  let state = 1
  const next = () => (state = (state * 48_271) % 2_147_483_647)
  const piece = () => odd[next() % odd.length] ?? ''
  return Array.from({ length: count }, (_, i) => {
    // Each piece comes first in turn: what a value starts with decides how YAML reads it.
    const first = odd[i % odd.length] ?? ''
    return `${first}${marker}${piece()}${marker}${piece()}${i % 3 === 0 ? marker : ''}`
  })
}

/** The ways in which a key stands in a YAML file, or something like one. */
export const layouts: Readonly<Record<string, (key: string, option: string) => string>> = {
  'without quotes': (key, option) => `    ${option}: ${key}\n    opens: [ssh]\n`,
  'without a space': (key, option) => `    opens: [ssh]\n    ${option}:${key}\n`,
  'as the last option': (key, option) => `    opens: [ssh]\n    ${option}: ${key}`,
  'on the next line': (key, option) => `    ${option}:\n      ${key}\n    opens: [ssh]\n`,
  'between double quotes': (key, option) => `    ${option}: "${key}"\n    opens: [ssh]\n`,
  'between single quotes': (key, option) => `    ${option}: '${key}'\n    opens: [ssh]\n`,
  'in a list': (key, option) => `    ${option}: [${key}]\n    opens: [ssh]\n`,
  'in a mapping': (key, option) => `    ${option}: {${key}}\n    opens: [ssh]\n`,
  'with a tag': (key, option) => `    ${option}: !!str ${key}\n    opens: [ssh]\n`,
  twice: (key, option) => `    ${option}: ${key}\n    ${option}: ${key}\n    opens: [ssh]\n`,
  'with an alias elsewhere': (key, option) =>
    `    ${option}: &secret ${JSON.stringify(key)}\n    window: *secret\n    opens: [*secret]\n    rate: *secret\n`,
  'beside a misspelt option': (key, option) => `    ${option}: ${key}\n    widow: 1\n    opens: [shs]\n`,
}

/** Fails where a part of the key is in what was said. */
export function assertUnseen(key: string, way: string, said: string): void {
  assert.ok(!said.includes(marker), `${way}: ${JSON.stringify(key)} is seen in: ${said}`)
}

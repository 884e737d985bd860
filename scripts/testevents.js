// A reporter for node:test: one line of JSON for each event that run-tests.js counts.
const counted = new Set(['test:enqueue', 'test:start', 'test:pass', 'test:fail'])

export default async function* events(source) {
  for await (const { type, data } of source) {
    if (!counted.has(type)) continue
    const { name, nesting, skip, todo, details } = data
    const error = details?.error
    yield `${JSON.stringify({
      type: type.slice('test:'.length),
      name,
      nesting,
      isSuite: details?.type === 'suite',
      skipped: (skip !== undefined && skip !== false) || (todo !== undefined && todo !== false),
      failureType: error?.failureType,
      why: error === undefined ? undefined : String(error.cause?.message ?? error.cause ?? error),
    })}\n`
  }
}

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RotatingCredential } from '../../../src/config/types.js'
import { importNfqknockd } from '../../../src/import/nfqknockd.js'
import { UserError } from '../../../src/util/user-error.js'
import { hostile, imported } from './import-support.js'

const from = (...args: string[]) => imported(importNfqknockd(args))
const credential = (...args: string[]) =>
  from('-p', '22', '-o', 'open', ...args).config.credentials[0] as RotatingCredential

describe('import nfqknockd', () => {
  it('defaults: md5, every port, the local hour, ten seconds a knock, and eight hours instead of no end', () => {
    const { value, warnings, yaml } = from('-p', '22', '-o', 'open', '-c', 'close')
    assert.deepEqual(value, {
      services: { ssh: { port: 22 } },
      credentials: {
        nfqknockd: {
          type: 'rotating',
          'open-secret': 'open',
          'close-secret': 'close',
          digest: 'md5',
          range: '1-65535',
          hour: 'local',
          timeout: 80,
          opens: ['ssh'],
          window: 28_800,
        },
      },
    })
    assert.equal(warnings.filter(text => text.includes('secrets in arguments')).length, 1)
    assert.match(yaml, /window: unlimited/)
  })

  it('all its options, apart or together', () => {
    const { value } = from(
      ...['-fvis', '-a', '1000', '-b2000', '-p', '22', '-p80', '-P', '443', '-P', '8443', '-t', '20', '-o', 'x'],
      ...['-d', 'SHA512', '-q', '5', '-m', '100'],
    )
    assert.deepEqual(value['queue'], { number: 5, 'max-length': 100 })
    assert.deepEqual(value['log'], { level: 'debug' })
    assert.deepEqual(value['open-ports'], [443, 8443])
    assert.deepEqual(value['services'], { ssh: { port: 22 }, http: { port: 80 } })
    const { digest, range, timeout } = value['credentials']?.['nfqknockd'] ?? {}
    assert.deepEqual({ digest, range, timeout }, { digest: 'sha512', range: '1000-2000', timeout: 640 })
  })

  it('the time for a knock becomes one for all of them, which is said', () => {
    // The wrapper of nfqknockd waits a second at each port that a firewall drops, and one more at the end.
    for (const [digest, seconds, want] of [
      ['md5', '1', 8],
      ['sha256', '10', 160],
      ['sha384', '10', 240],
      ['sha512', '600', 19_200],
    ] as const) {
      const { value, yaml } = from('-p', '22', '-o', 'open', '-d', digest, '-t', seconds)
      assert.equal(value['credentials']?.['nfqknockd']?.['timeout'], want)
      const said = yaml.replace(/\n *# ?/g, ' ')
      assert.match(
        said,
        new RegExp(`timeout is for the whole sequence: there, each of the \\d+ knocks had ${seconds} s`),
      )
    }
  })

  it('a port that is guarded and always open stays open; with no port, there is nothing to open', () => {
    const { value, warnings } = from('-p', '22', '-p', '80', '-P', '80', '-o', 'x')
    assert.deepEqual(Object.keys(value['services'] ?? {}), ['ssh'])
    assert.match(warnings.join('\n'), /port 80 is given with -p and with -P/)
    const none = from('-o', 'x')
    assert.equal(none.value['credentials'], undefined)
    assert.match(none.warnings.join('\n'), /left out: the sequences: no port is protected/)
  })

  it('secrets are what they were', () => {
    for (const text of hostile) {
      const { open, close } = credential('-o', text, '-c', text)
      assert.equal(open.secret, text)
      assert.equal(close?.secret, text)
    }
  })

  const mistakes: readonly [string[], RegExp][] = [
    [[], /no '-o SECRET'/],
    [['-p', '22'], /no '-o SECRET'/],
    [['-o', ''], /secret is empty/],
    [['-o', 'x', '-c', ''], /secret is empty/],
    [['-o'], /-o of nfqknockd needs a value/],
    [['-o', 'x', 'SECRET'], /no option: one after -o/],
    [['SECRET'], /no option: the first one/],
    [['--help'], /no option/],
    [['-x'], /no option -x/],
    [['-o', 'x', '-p', '0'], /-p takes a number/],
    [['-o', 'x', '-p', 'ssh'], /-p takes a number/],
    [['-o', 'x', '-t', '601'], /-t takes a number from 1 to 600/],
    [['-o', 'x', '-a', '5', '-b', '5'], /no range/],
    [['-o', 'x', '-p', '22', '-d', 'sha1'], /-d takes md5/],
    [['-o', 'x', '-q', '70000'], /-q takes/],
    [['-o', 'x', '-m', '0'], /-m takes/],
  ]
  for (const [args, message] of mistakes) {
    it(`wrong usage: ${args.join(' ')}`, () => {
      assert.throws(
        () => from(...args),
        (error: unknown) =>
          error instanceof UserError &&
          error.status === 2 &&
          message.test(error.message) &&
          !error.message.includes('SECRET x'),
      )
    })
  }
})

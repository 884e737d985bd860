/** The thread that verifies signatures, without the thread. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, describe, it } from 'node:test'
import { SignatureVerifier } from '../../../src/controller/verify/signature-verifier.js'
import type { CredentialKeys, SignedOutcome } from '../../../src/controller/verify/signature-job.js'
import { newServerKey } from '../../../src/knock/index.js'
import { blobOf, OpenSsh } from '../../support/openssh.js'
import type { TestKey } from '../knock/openssh/sshsig.js'
import { testKey } from '../knock/openssh/sshsig.js'
import { knockPort, start } from './knock-support.js'
import { keysOf, signedPayload } from './signed-support.js'

const [alice, bob, carol] = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-ed25519'].map(type => testKey(type)) as [
  TestKey,
  TestKey,
  TestKey,
]

async function outcomeOf(
  sets: readonly CredentialKeys[],
  bytes: Buffer,
  { port = knockPort, source = '192.0.2.1', now = start } = {},
): Promise<SignedOutcome> {
  const verifier = new SignatureVerifier({ now: () => now })
  await verifier.configure(sets)
  return verifier.verify({ id: 4, bytes: new Uint8Array(bytes), port, source })
}

/** The name of the user, or why the knock is refused. */
const short = (outcome: SignedOutcome) => {
  assert.equal(outcome.id, 4)
  return outcome.kind === 'verified' ? `${outcome.signer.user} by ${outcome.credential}` : outcome.reason
}
const plain = `${alice.line} alice\n${bob.line} bob@laptop\n`

describe('a signature', () => {
  for (const [name, key] of [
    ['alice', alice],
    ['bob@laptop', bob],
  ] as const) {
    it(`of ${key.type} is accepted`, async () => {
      const outcome = await outcomeOf([keysOf({ authorized: plain })], signedPayload(key))
      assert.equal(short(outcome), `${name} by staff`)
      assert.match(outcome.signer?.fingerprint ?? '', /^SHA256:[A-Za-z0-9+/]{43}$/)
    })
  }

  it('counts no longer where its key is removed while it is verified', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    await verifier.configure([keysOf({ authorized: plain })])
    const bytes = new Uint8Array(signedPayload(alice))
    const outcome = verifier.verify({ id: 4, bytes, port: knockPort, source: '192.0.2.1' })
    await verifier.configure([keysOf({ authorized: `${bob.line} bob\n` })])
    assert.equal(short(await outcome), 'unknown-key')
  })

  it('is that of the owner of a home, whatever name the owner writes at the key', async () => {
    const nameIn = async (user: string | null, comment: string) => {
      const files = keysOf({ authorized: `${alice.line} ${comment}\n` }).files.map(file => ({ ...file, user }))
      return short(await outcomeOf([keysOf({}, { files })], signedPayload(alice)))
    }
    assert.equal(await nameIn('alice', 'bob'), 'alice by staff')
    assert.equal(await nameIn('alice', ''), 'alice by staff')
    assert.equal(await nameIn(null, 'bob'), 'bob by staff')
  })

  it('of a token needs a touch, unless its line needs none', async () => {
    const [touched, untouched] = [1, 0].map(flags => testKey('sk-ssh-ed25519@openssh.com', { flags, counter: 9 }))
    const of = async (key: TestKey | undefined, option = '') =>
      key && short(await outcomeOf([keysOf({ authorized: `${option} ${key.line} t\n` })], signedPayload(key)))
    assert.equal(await of(touched), 't by staff')
    assert.equal(await of(untouched), 'bad-signature')
    assert.equal(await of(untouched, 'no-touch-required'), 't by staff')
    assert.equal(await of(touched, 'verify-required'), 'bad-signature')
  })

  it('with any byte of the packet changed is refused', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    await verifier.configure([keysOf({ authorized: plain })])
    const right = signedPayload(alice)
    for (let at = 0; at < right.length; at++) {
      const bytes = new Uint8Array(right)
      bytes[at] = (bytes[at] as number) ^ (1 << (at % 8))
      const outcome = await verifier.verify({ id: 4, bytes, port: knockPort, source: '192.0.2.1' })
      assert.equal(outcome.kind, 'refused', `byte ${at}`)
    }
  })

  const soon = '20231115000000Z' // a day after `start`
  const table: readonly [string, string, Parameters<typeof keysOf>, (Parameters<typeof signedPayload>[1] & object)?][] =
    [
      ['unknown-key', 'a key that is in no file', [{ authorized: `${bob.line}\n` }]],
      ['unknown-key', 'the key of a CA', [{ authority: plain }]],
      ['unknown-key', 'the key of a CA, by its line', [{ authorized: `cert-authority ${alice.line}\n` }]],
      ['unknown-key', 'a key with an unknown option', [{ authorized: `surprise ${alice.line}\n` }]],
      ['unknown-key', 'a key for another port', [{ authorized: plain }, { port: 1 }]],
      ['not-opened', 'a server without its private key', [{ authorized: plain }, { privateKey: null }]],
      ['not-opened', 'a server with another identity', [{ authorized: plain }], { identity: Buffer.alloc(32, 9) }],
      ['not-opened', 'another port', [{ authorized: plain }], { port: 1 }],
      ['bad-signature', 'the signature of another key', [{ authorized: plain }], { by: carol }],
      ['revoked', 'a revoked key', [{ authorized: plain, revoked: `${alice.line}\n` }]],
      ['revocations-unknown', 'a list that cannot be read', [{ authorized: plain, revoked: 'nonsense\n' }]],
      ['revocations-unknown', 'a list that is not there', [{ authorized: plain }, { isShut: true }]],
      ['key-expired', 'expiry-time', [{ authorized: `expiry-time="20230101" ${alice.line}\n` }]],
      ['alice by staff', 'expiry-time to come', [{ authorized: `expiry-time="${soon}" ${alice.line} alice\n` }]],
      ['source-not-allowed', 'from=', [{ authorized: `from="198.51.100.*" ${alice.line}\n` }]],
      ['alice by staff', 'from= with its address', [{ authorized: `from="192.0.2.0/24" ${alice.line} alice\n` }]],
      ['service-not-allowed', 'a service of no credential', [{ authorized: plain }], { wishes: { services: ['db'] } }],
      [
        'service-not-allowed',
        'a service that its line does not open',
        [{ authorized: `opens="ssh" ${alice.line}\n` }],
        { wishes: { services: ['ssh', 'web'] } },
      ],
      ['alice by staff', 'a service', [{ authorized: plain }], { wishes: { services: ['web'] } }],
      ['undefined by staff', 'a key without a comment', [{ authorized: `${alice.line}\n` }]],
    ]
  for (const [want, what, keys, parts] of table) {
    it(`${want}: ${what}`, async () =>
      assert.equal(short(await outcomeOf([keysOf(...keys)], signedPayload(alice, parts))), want))
  }

  it('is refused where the verification itself fails', async () => {
    const verifier = new SignatureVerifier({
      now: () => {
        throw new Error('no clock')
      },
    })
    await verifier.configure([keysOf({ authorized: plain })])
    const bytes = new Uint8Array(signedPayload(alice))
    assert.equal(short(await verifier.verify({ id: 4, bytes, port: knockPort, source: '192.0.2.1' })), 'not-opened')
  })

  it('counts for the first credential that opens what is asked for', async () => {
    const sets = [
      keysOf({ authorized: plain }, { name: 'first', opens: ['ssh'] }),
      keysOf({ authorized: plain }, { name: 'second', opens: ['ssh', 'db'] }),
    ]
    assert.equal(short(await outcomeOf(sets, signedPayload(alice))), 'alice by first')
    assert.equal(
      short(await outcomeOf(sets, signedPayload(alice, { wishes: { services: ['db'] } }))),
      'alice by second',
    )
  })

  it('counts for all credentials and lines that open more of what is asked for', async () => {
    const sets = [
      keysOf({ authorized: plain }, { name: 'first', opens: ['ssh'] }),
      keysOf({ authorized: plain }, { name: 'again', opens: ['ssh'] }),
      keysOf(
        { authorized: `window="9s",opens="vpn" ${alice.line} a\n` },
        { name: 'second', opens: ['ssh', 'db', 'vpn'] },
      ),
      keysOf({ authorized: plain }, { name: 'closing', opens: ['db'], revokes: true }),
      keysOf({ authorized: plain }, { name: 'third', opens: ['db', 'vpn'] }),
    ]
    const of = async (...services: string[]) => {
      const outcome = await outcomeOf(sets, signedPayload(alice, { wishes: { services } }))
      if (outcome.kind === 'refused') return outcome.reason
      const more = (outcome.more ?? []).map(one => `${one.credential} ${one.services.join('+')} ${one.rights.window}`)
      return [outcome.credential, outcome.request.services.join('+'), ...more]
    }
    assert.deepEqual(await of(), ['first', '', 'second vpn 9', 'third db null'])
    assert.deepEqual(await of('db', 'vpn'), ['second', 'vpn', 'third db null'])
    assert.deepEqual(await of('ssh'), ['first', 'ssh'])
    assert.equal(await of('ssh', 'web'), 'service-not-allowed')
  })

  it('counts for the credential whose identity it is for, that of the server or of a group', async () => {
    const group = newServerKey(randomBytes)
    const sets = [keysOf({ authorized: plain }), keysOf({ authorized: plain }, { name: 'fleet', ...group })]
    assert.equal(short(await outcomeOf(sets, signedPayload(alice))), 'alice by staff')
    const forGroup = signedPayload(alice, { identity: group.identity })
    assert.equal(short(await outcomeOf(sets, forGroup)), 'alice by fleet')
    assert.equal(short(await outcomeOf(sets.slice(0, 1), forGroup)), 'not-opened')
  })

  it('is not verified for a knock of another time', async () => {
    const sets = [keysOf({ authorized: plain })]
    const payload = signedPayload(alice, { by: carol })
    for (const [ahead, reason] of [
      [-11, 'skewed'],
      [-10, 'bad-signature'],
      [10, 'bad-signature'],
      [11, 'skewed'],
    ] as const) {
      const outcome = await outcomeOf(sets, payload, { now: start - ahead })
      assert.equal(short(outcome), reason)
      assert.equal('clockDifferenceSeconds' in outcome && outcome.clockDifferenceSeconds, reason === 'skewed' && ahead)
    }
    const anyClock = keysOf({ authorized: plain }, { skew: -1 })
    assert.equal(short(await outcomeOf([anyClock], signedPayload(alice), { now: start + 999 })), 'alice by staff')
  })

  it('says what is asked for, and what the line allows', async () => {
    const authorized = `opens="web",window="8h",prefix4="24",obo="192.0.2.0/24" ${alice.line} alice\n`
    const wishes = { window: 5, close: true, prefix: 24, other: Buffer.alloc(16, 1), host: Buffer.from([192, 0, 2, 7]) }
    const outcome = await outcomeOf([keysOf({ authorized })], signedPayload(alice, { wishes }))
    assert.deepEqual(outcome, {
      kind: 'verified',
      id: 4,
      credential: 'staff',
      signer: { user: 'alice', fingerprint: outcome.signer?.fingerprint },
      rights: {
        opens: ['web'],
        window: 28_800,
        prefix4: 24,
        prefix6: null,
        onBehalfOf: ['192.0.2.0/24'],
        asksOutside: false,
      },
      request: {
        ...{ time: start * 1000, close: true, window: 5, prefix: 24, services: [] },
        other: { version: 6, address: '101:101:101:101:101:101:101:101' },
        host: { version: 4, address: '192.0.2.7' },
      },
    })
  })
})

describe('what the line of a key limits beside its source', () => {
  const rightsOf = async (options: string, wishes: Parameters<typeof signedPayload>[1] = {}, now = start) => {
    const outcome = await outcomeOf(
      [keysOf({ authorized: `${options} ${alice.line} alice\n` })],
      signedPayload(alice, wishes),
      {
        now,
      },
    )
    return outcome.kind === 'verified' ? outcome.rights : assert.fail(outcome.reason)
  }
  const inside = { wishes: { host: Buffer.from([192, 0, 2, 7]) } }
  const outside = { wishes: { host: Buffer.from([198, 51, 100, 7]) } }
  const beside = { wishes: { other: Buffer.alloc(16, 1) } }

  for (const [asks, options, wishes] of [
    [false, 'from="192.0.2.0/24"', {}],
    [false, 'from="192.0.2.0/24"', inside],
    [true, 'from="192.0.2.0/24"', outside],
    [true, 'from="192.0.2.0/24,!192.0.2.7"', inside],
    [true, 'from="192.0.2.0/24"', beside],
    [false, 'from="192.0.2.0/24,101::/16"', beside],
    [false, 'from="192.0.2.0/24",obo="198.51.100.0/24"', outside],
    [true, 'from="192.0.2.0/24",obo="203.0.113.0/24"', outside],
    [false, 'restrict', outside],
  ] as const) {
    it(`${asks ? 'is' : 'is not'} what ${Object.keys(wishes).length > 0 ? JSON.stringify(wishes) : 'a plain knock'} asks for, with ${options}`, async () => {
      assert.equal((await rightsOf(options, wishes)).asksOutside, asks)
    })
  }

  it('is the time of a grant, which ends with the key', async () => {
    // The time of the knocks is 2023-11-14 22:13:20 UTC.
    assert.equal(start, 1_700_000_000)
    const until = (second: string) => `expiry-time="202311142213${second}Z"`
    assert.equal((await rightsOf(until('50'))).window, 31)
    assert.equal((await rightsOf(`window="5s",${until('50')}`)).window, 5)
    assert.equal((await rightsOf(`window="5m",${until('50')}`)).window, 31)
    assert.equal((await rightsOf(until('21'), {}, start + 0.5)).window, 1)
    assert.equal((await rightsOf(until('20'), {}, start + 0.5)).window, 1)
    assert.equal((await rightsOf('restrict')).window, null)
  })
})

describe('a certificate', () => {
  const openssh = new OpenSsh()
  after(() => {
    openssh.remove()
  })
  openssh.key('ca', '-t', 'ed25519')
  openssh.key('other-ca', '-t', 'ed25519')
  openssh.write('alice.pub', `${alice.line}\n`)
  const ca = openssh.read('ca.pub')
  const year = '20230101000000Z:20240101000000Z'
  const made = (name: string, ...options: string[]) => blobOf(openssh.certificate(name, 'alice', ...options))
  const krl = () => {
    openssh.write('spec', 'serial: 7\n')
    openssh.must('-q', '-k', '-f', openssh.path('krl'), '-s', 'ca.pub', 'spec')
    return openssh.readBytes('krl')
  }
  const ops = ['-n', 'ops', '-z', '7', '-V', year]
  const table: readonly [string, string, string[], Parameters<typeof keysOf>, string?][] = [
    ['ops by staff', 'right', ops, [{ authority: ca }]],
    ['ops by staff', 'by a line of authorized keys', ops, [{ authorized: `cert-authority ${ca}` }]],
    ['dev by staff', 'by principals of the line', ['-n', 'dev', '-V', year], [{ authority: `principals="dev" ${ca}` }]],
    ['wrong-principal', 'without those of the line', ops, [{ authority: `principals="dev" ${ca}` }]],
    ['wrong-principal', 'of another', ['-n', 'dev', '-V', year], [{ authority: ca }]],
    ['wrong-principal', 'of all', ['-V', year], [{ authority: ca }]],
    ['wrong-principal', 'where there are no principals', ops, [{ authority: ca }, { principals: [] }]],
    ['unknown-key', 'whose CA is a plain key here', ops, [{ authorized: ca }]],
    ['unknown-key', 'of another CA', ops, [{ authority: ca }], 'other-ca'],
    ['certificate-expired', 'of the past', ['-n', 'ops', '-V', '20220101000000Z:20230101000000Z'], [{ authority: ca }]],
    [
      'certificate-not-yet-valid',
      'to come',
      ['-n', 'ops', '-V', '20240101000000Z:20250101000000Z'],
      [{ authority: ca }],
    ],
    ['source-not-allowed', 'for others', [...ops, '-O', 'source-address=198.51.100.0/24'], [{ authority: ca }]],
    ['source-not-allowed', 'from= of its CA', ops, [{ authority: `from="198.51.100.1" ${ca}` }]],
    ['revoked', 'whose CA is revoked', ops, [{ authority: ca, revoked: ca }]],
    ['revoked', 'whose key is revoked', ops, [{ authority: ca, revoked: `${alice.line}\n` }]],
    ['revoked', 'whose number is revoked', ops, [{ authority: ca, revoked: krl() }]],
  ]
  for (const [want, what, options, keys, by = 'ca'] of table) {
    it(`${want}: ${what}`, async () => {
      const payload = signedPayload(alice, { certificate: made(by, ...options) })
      assert.equal(payload.length, 1024)
      assert.equal(short(await outcomeOf([keysOf(...keys)], payload)), want)
    })
  }

  it('is named by its key id and number', async () => {
    const { signer } = await outcomeOf(
      [keysOf({ authority: ca })],
      signedPayload(alice, { certificate: made('ca', ...ops) }),
    )
    assert.deepEqual([signer?.keyId, signer?.serial], ['id of alice', '7'])
  })

  it('is refused where its CA has not signed it, or its user not the knock', async () => {
    const certificate = made('ca', ...ops)
    const forged = Buffer.from(certificate)
    forged[forged.length - 1] = (forged.at(-1) as number) ^ 1
    const verifier = new SignatureVerifier({ now: () => start })
    await verifier.configure([keysOf({ authority: ca })])
    const of = async (payload: Buffer) =>
      short(await verifier.verify({ id: 4, bytes: new Uint8Array(payload), port: knockPort, source: '192.0.2.1' }))
    for (let twice = 0; twice < 2; twice++) {
      assert.equal(await of(signedPayload(alice, { certificate: forged })), 'bad-signature')
      assert.equal(await of(signedPayload(alice, { certificate })), 'ops by staff')
      assert.equal(await of(signedPayload(alice, { certificate, by: carol })), 'bad-signature')
    }
  })

  it('limits a knock to its time, and to addresses that it may come from', async () => {
    const rightsOf = async (line: string, host: readonly number[], ...options: string[]) => {
      const certificate = made('ca', '-n', 'ops', ...options)
      const payload = signedPayload(alice, { certificate, wishes: { host: Buffer.from(host) } })
      const outcome = await outcomeOf([keysOf({ authority: line })], payload)
      return outcome.kind === 'verified' ? outcome.rights : assert.fail(outcome.reason)
    }
    const minute = ['-V', '20231114221300Z:20231114221400Z', '-O', 'source-address=192.0.2.0/24']
    const { window, asksOutside } = await rightsOf(ca, [192, 0, 2, 9], ...minute)
    assert.deepEqual([window, asksOutside], [40, false])
    assert.equal((await rightsOf(ca, [198, 51, 100, 9], ...minute)).asksOutside, true)
    assert.equal((await rightsOf(`obo="198.51.100.9" ${ca}`, [198, 51, 100, 9], ...minute)).asksOutside, false)
    assert.equal((await rightsOf(`from="192.0.2.0/24" ${ca}`, [198, 51, 100, 9])).asksOutside, true)
    assert.equal((await rightsOf(ca, [198, 51, 100, 9])).window, null)
  })

  it('that cannot be read is refused', async () => {
    const payload = signedPayload(alice, { certificate: Buffer.from('nonsense') })
    assert.equal(short(await outcomeOf([keysOf({ authority: ca })], payload)), 'bad-certificate')
  })

  it('in the file of a user is for the principal of that name', async () => {
    const [file] = keysOf({ authorized: `cert-authority ${ca}` }).files
    const files = file ? [{ ...file, user: 'ops' }] : []
    const payload = signedPayload(alice, { certificate: made('ca', ...ops) })
    assert.equal(short(await outcomeOf([keysOf({}, { files, principals: [] })], payload)), 'ops by staff')
    const others = files.map(one => ({ ...one, user: 'root' }))
    assert.equal(short(await outcomeOf([keysOf({}, { files: others, principals: [] })], payload)), 'wrong-principal')
    const [named] = keysOf({ authorized: `cert-authority,principals="ops" ${ca}` }).files
    const ofRoot = named ? [{ ...named, user: 'root' }] : []
    assert.equal(short(await outcomeOf([keysOf({}, { files: ofRoot })], payload)), 'root by staff')
  })
})

describe('the files of keys', () => {
  it('are reported with what they have, and what does not count', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    const authorized = `${plain}cert-authority ${carol.line}\nsurprise ${alice.line}\n`
    const [report] = await verifier.configure([keysOf({ authorized, revoked: 'nonsense\n' })])
    assert.deepEqual([report?.credential, report?.keys, report?.authorities], ['staff', 2, 1])
    assert.match(
      report?.problems.join('\n') ?? '',
      /^authorized:4: .*'surprise' is unknown\nrevoked: line 1: .*no key of staff/,
    )
  })
})

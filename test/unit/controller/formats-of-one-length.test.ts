/** A packet of fwknop as long as a knock whose first words change with time: both are tried. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { PacketCredential } from '../../../src/controller/verify/packet-credential.js'
import { ReplayCache } from '../../../src/controller/replay/replay-cache.js'
import { KnockVerifier } from '../../../src/controller/verify/verifier.js'
import type { KnockFormat } from '../../../src/knock/format.js'
import { KnockFormats } from '../../../src/knock/knock-formats.js'
import type { FwknopSecret } from '../../../src/knock/fwknop/fwknop-format.js'
import { fwknop } from '../../../src/knock/fwknop/fwknop-format.js'
import type { SymmetricSecret } from '../../../src/knock/pk1/symmetric.js'
import { symmetric } from '../../../src/knock/pk1/symmetric.js'
import { knock, knockPort, laptop, start, TestClock } from './knock-support.js'

const port = 62_201
const fwknopSecret: FwknopSecret = {
  key: Buffer.from('enc'),
  hmacKey: Buffer.from('mac'),
  hmac: 'sha256',
  user: null,
  requireSourceAddress: false,
  expires: null,
  maxWindow: 300,
}
const ofFwknop = () => fwknop.encode({ port, time: start, random: randomBytes }, fwknopSecret)
const length = ofFwknop().length

/** The symmetric knock with zeros behind it: no format of a release has these two lengths in common. */
const wide: KnockFormat<SymmetricSecret> = {
  ...symmetric,
  id: 'wide',
  payloadLength: length,
  encode: (request, secret) => Buffer.concat([symmetric.encode(request, secret), Buffer.alloc(length)], length),
}
const formats = new KnockFormats([
  { type: 'wide', formats: [wide] },
  { type: 'fwknop', formats: [fwknop] },
])

/** One whose packets begin, in the window of the start, with a byte that fwknop's packets begin with; or with none of them. */
function secretThatBegins(asFwknop: boolean): SymmetricSecret {
  const { firstBytes = [] } = fwknop.varied ?? {}
  for (let number = 0; ; number++) {
    const secret = { identity: Buffer.alloc(32, String(number)), key: Buffer.alloc(32, 1) }
    if (firstBytes.includes(wide.firstWord(secret, start) >>> 24) === asFwknop) return secret
  }
}

function verifierFor(secret: SymmetricSecret) {
  const phone: PacketCredential = { ...laptop, name: 'phone', type: 'wide', secret, identity: wide.identityOf(secret) }
  const telephone: PacketCredential = {
    ...laptop,
    name: 'telephone',
    type: 'fwknop',
    secret: fwknopSecret,
    identity: fwknop.identityOf(fwknopSecret),
    port,
    grants: [{ service: 'ssh', protocol: 'tcp', ports: [{ first: 22, last: 22 }], seconds: 60 }],
  }
  const cache = ({ skew }: PacketCredential) => new ReplayCache({ skew, entries: 9 })
  const verifier = new KnockVerifier([phone, telephone], cache, new TestClock(), formats)
  return (payload: Buffer, to: number) => {
    const decision = verifier.verify(knock({ payload, port: to }))
    if (decision.kind === 'grant') return decision.credential.name
    return decision.kind === 'refuse' ? decision.reason : decision.kind
  }
}

for (const asFwknop of [true, false]) {
  describe(`two formats of one length, whose packets ${asFwknop ? 'begin alike' : 'do not begin alike'}`, () => {
    const secret = secretThatBegins(asFwknop)
    const ofPhone = (to = knockPort) => wide.encode({ port: to, time: start, random: randomBytes }, secret)

    it('are both accepted, and a copy of each is refused', () => {
      const decide = verifierFor(secret)
      const [one, other] = [ofPhone(), ofFwknop()]
      assert.deepEqual([decide(one, knockPort), decide(other, port)], ['phone', 'telephone'])
      assert.deepEqual([decide(one, knockPort), decide(other, port)], ['replayed', 'replayed'])
    })

    it('are both accepted at the port of the other', () => {
      const decide = verifierFor(secret)
      assert.equal(decide(ofPhone(port), port), 'phone')
      assert.equal(decide(ofFwknop(), knockPort), 'wrong-port')
    })

    it('are both refused when a byte is changed', () => {
      const decide = verifierFor(secret)
      for (const packet of [ofPhone(port), ofFwknop()]) {
        packet[60] = packet[60] === 65 ? 66 : 65
        assert.equal(decide(packet, port), 'bad-hash')
      }
    })
  })
}

/** The curve P-256 (FIPS 186-4, D.1.2.3; secp256r1): y² = x³ - 3x + b modulo p. */
const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn
const coordinateLength = 32

/** Whether an uncompressed point, of 65 bytes, is on the curve. */
export function isOnP256(point: Buffer): boolean {
  const coordinate = (at: number) => BigInt(`0x${point.toString('hex', at, at + coordinateLength)}`)
  const [x, y] = [coordinate(1), coordinate(1 + coordinateLength)]
  return x < p && y < p && (y * y - (x * x * x - 3n * x + b)) % p === 0n
}

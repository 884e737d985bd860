/** Bytes or text that are not what OpenSSH writes, or are not accepted; the message is one line, without a full stop. */
export class SshFormatError extends Error {
  override readonly name = 'SshFormatError'
}

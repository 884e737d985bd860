/** A tag or key that cannot be one; the message is for the person who wrote it. */
export class SecretFormatError extends Error {
  override readonly name = 'SecretFormatError'
}

/** A sequence that cannot be one; the message is for the person who wrote it. */
export class SequenceFormatError extends Error {
  override readonly name = 'SequenceFormatError'
}

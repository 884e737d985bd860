/** The queue could not be bound. `hint` says what to do about it. */
export class QueueError extends Error {
  override readonly name = 'QueueError'

  constructor(
    message: string,
    readonly hint?: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }
}

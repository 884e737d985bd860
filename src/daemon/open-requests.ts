/** Requests of one kind that wait for their answers, which come in the same order. */
export class OpenRequests<T> {
  #waiting: ((value: T) => void)[] = []

  /** Sends a request, and resolves to its answer. */
  ask(send: () => void): Promise<T> {
    return new Promise(resolve => {
      this.#waiting.push(resolve)
      send()
    })
  }

  answer(value: T): void {
    this.#waiting.shift()?.(value)
  }

  answerAll(value: T): void {
    for (const resolve of this.#waiting.splice(0)) resolve(value)
  }
}

/** One scrape at a time, however many ask for it, and pauses between them: a scrape lists the table. */

/** A text is given again for so long, */
const shortestMilliseconds = 1000
/** and for so many times as long as it took: of the time, scrapes take a quarter at most. */
const rest = 3

export class SharedText {
  #text: Promise<string> | undefined

  constructor(readonly make: () => Promise<string>) {}

  get(): Promise<string> {
    this.#text ??= this.#fresh()
    return this.#text
  }

  #fresh(): Promise<string> {
    const began = performance.now()
    const text = this.make()
    const forgetLater = () => {
      const took = performance.now() - began
      setTimeout(
        () => {
          this.#text = undefined
        },
        Math.max(shortestMilliseconds, took * rest),
      ).unref()
    }
    text.then(forgetLater, forgetLater)
    return text
  }
}

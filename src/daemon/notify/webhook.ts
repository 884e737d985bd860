/** Sends a notification to a URL, which no message of an error contains. */
import { hostname } from 'node:os'
import type { Notification } from './notification.js'

/** Rejects with what went wrong, without the URL. */
export async function sendWebhook(url: string, timeoutSeconds: number, notification: Notification): Promise<void> {
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'user-agent': 'pkctl' },
      body: JSON.stringify({ jsonVersion: 1, host: hostname(), ...notification }),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    })
  } catch (error) {
    throw new Error(reasonOf(error as Error, timeoutSeconds), { cause: error })
  }
  // Nothing of what it says is used.
  await response.body?.cancel()
  if (!response.ok) throw new Error(`the webhook answered with HTTP status ${response.status}`)
}

/** What is in a message of an error may be the URL: only its code, which is one of a fixed list, is shown. */
function reasonOf({ name, cause }: Error, timeoutSeconds: number): string {
  if (name === 'TimeoutError') return `the webhook did not answer within ${timeoutSeconds} s`
  const { code } = (cause ?? {}) as NodeJS.ErrnoException
  return `the webhook cannot be reached${code === undefined ? '' : `: ${code}`}`
}

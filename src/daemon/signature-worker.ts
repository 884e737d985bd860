/** The thread that verifies the signatures of knocks; the packet worker gives it the packets, and goes on with others. */
import * as fs from 'node:fs'
import type { MessagePort } from 'node:worker_threads'
import { parentPort, workerData } from 'node:worker_threads'
import type { CredentialKeys, SignedJob } from '../controller/index.js'
import { SignatureVerifier, warmUpSignatures } from '../controller/index.js'
import type { SignatureMessage, SignatureRequest, SignatureWorkerData } from './worker-messages.js'

const main = parentPort
if (!main) throw new Error('this file is a thread of pkctld and is not started by hand')
const { jobs, wakeWriter } = workerData as SignatureWorkerData & { readonly jobs: MessagePort }
const post = (message: SignatureMessage) => {
  main.postMessage(message)
}

const clock = { now: () => Date.now() / 1000 }
const verifier = new SignatureVerifier(clock)

let warm: Promise<unknown> | undefined

/** Of keys; one after the other. */
let reading: Promise<void> = Promise.resolve()

main.on('message', (request: SignatureRequest) => {
  if (request.kind === 'ping') post({ kind: 'pong' })
  else reading = reading.then(() => configure(request.keys))
})

async function configure(keys: readonly CredentialKeys[]): Promise<void> {
  post({ kind: 'keys', reports: await verifier.configure(keys) })
  // Beside knocks that come already: each waits for one that is made up, at most.
  warm ??= warmUpSignatures(clock).catch(() => undefined)
}

jobs.on('message', (job: SignedJob) => void verify(job))

async function verify(job: SignedJob): Promise<void> {
  jobs.postMessage(await verifier.verify(job))
  try {
    fs.writeSync(wakeWriter, 's')
  } catch (error) {
    // It has been woken up already, or has ended.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EAGAIN' && code !== 'EPIPE') throw error
  }
}

/** Runs one script in a machine that does nothing else, with the compiled project around it: machine/run.sh. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import type { Result } from '../../support/commands.js'
import { Background, root } from '../../support/commands.js'
import { copyProject } from '../../support/suite.js'
import { emulator, image, scripts } from './image.js'

/**
 * Before a command: in emulation all is slower, and a first answer may take longer; a repeated SYN would still come later
 * than this.
 */
export const emulated = 'env PKCTL_TEST_BUNDLE=1 PKCTL_TEST_PATIENCE=950 PKCTL_TEST_SLOWNESS=10'

/**
 * Before the tests in a job: daemons are confined by the profile of the package. It is told where the tests have what
 * they run and make, and which programs triggers run there, as an administrator would tell it.
 */
export const confined = `
mount -t securityfs securityfs /sys/kernel/security
cp templates/apparmor/usr.bin.pkctld /etc/apparmor.d/
mkdir -p /etc/apparmor.d/local
cat >/etc/apparmor.d/local/usr.bin.pkctld <<'END'
/usr/{local/,}bin/node mrix,
/usr/{local/,}bin/nodejs mrix,
/usr/{local/,}lib/{,@{multiarch}/}libnode.so.* mr,
/usr/share/nodejs/** r,
/job/** r,
/job/node_modules/@yuuang/**.node mr,
/tmp/pkctl-*/ rw,
/tmp/pkctl-*/** mrwkix,
# The clock that tests set: libfaketime.
/dev/shm/* rwkl,
# Triggers: ordinary programs, and as other users. The daemon is root, and in no group that a socket is given to.
/{usr/,}bin/* mrix,
capability setuid,
capability setgid,
capability kill,
capability chown,
END
apparmor_parser --replace /etc/apparmor.d/usr.bin.pkctld || exit 1
export PKCTL_TEST_CONFINED=1 PKCTL_TEST_NATIVE_QUEUE=1
`

/** `logs` is the folder of build/lab which keeps what the machine said. */
export async function runJob(logs: string, script: string, seconds: number): Promise<Result> {
  const job = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-job-'))
  try {
    await copyProject(job)
    fs.writeFileSync(path.join(job, 'run'), script)
    const result = path.join(root, 'build/lab', logs)
    fs.mkdirSync(path.dirname(result), { recursive: true })
    const running = new Background([
      // It ends with whoever runs it.
      ...['setpriv', '--pdeathsig', 'KILL', path.join(scripts, 'run.sh')],
      ...[await image(), job, result, String(seconds), ...(await emulator())],
    ])
    const status = await running.exited
    const read = (name: string) => {
      const file = path.join(result, name)
      return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
    }
    return { status, stdout: read('stdout'), stderr: `${running.output}${read('stderr')}` }
  } finally {
    fs.rmSync(job, { recursive: true, force: true })
  }
}

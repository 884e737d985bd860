/** The systems whose configuration can be imported: how each is read, and what the result says at its top. */
import { nearest, oneLine, usageError, UserError } from '../util/index.js'
import type { ImportResult } from './draft-entries.js'
import { importFwknop } from './fwknop.js'
import { importIptPkdHosts } from './ipt-pkd-client.js'
import { importIptPkd } from './ipt-pkd-rules.js'
import { importKnockdHelper } from './knockd-helper.js'
import { importKnockd } from './knockd.js'
import { importNfPkd } from './nf-pkd.js'
import { importNfqknockd } from './nfqknockd.js'
import type { Printed } from './print-yaml.js'
import { printConfig, printHosts } from './print-yaml.js'
import { readActionFiles } from './read-action-files.js'
import { inputName, readBeside, readRegularFile, readText } from './read-input.js'
import { secretPaths } from './secret-paths.js'

const otherFirewalls =
  'Other firewalls still apply: where one drops a port, let it pass there, and leave closing it to pkctl.'
const stop = (program: string) => `Stop ${program} before pkctld starts.`

interface System {
  /** Reads what the arguments after the name of the system say. */
  readonly result: (source: readonly string[]) => { readonly result: ImportResult; readonly from: string }
  /** Where what came from, and what is left to do. */
  readonly heading: (from: string) => string
  /** What it looks like. */
  readonly expected: string
}

const systems: Readonly<Record<string, System>> = {
  knockd: {
    result: fromFile('knockd', text => importKnockd(text, { readFile: readRegularFile })),
    heading: from => `From knockd, ${from}. ${stop('knockd')} ${otherFirewalls}`,
    expected: 'sections such as [openSSH] with a sequence and a command',
  },
  'nf-pkd': {
    result: source => {
      const directory = onlyOne(source, 'nf-pkd DIR')
      return { result: importNfPkd(readActionFiles(directory)), from: directory }
    },
    heading: from =>
      `From nf-pkd, ${from}. ${stop('nf-pkd')} There, a knock was good for one connection whenever it came; here, for as ` +
      `many as come within the window. With 'single-use: true', a service lets one in. ${otherFirewalls}`,
    expected: 'rules with a name, a key and a port',
  },
  nfqknockd: {
    result: source => ({ result: importNfqknockd(source), from: '' }),
    heading: () => `From the arguments of nfqknockd. ${stop('nfqknockd')} ${otherFirewalls}`,
    expected: 'a port to protect, as in -p 22',
  },
  'knockd-helper': {
    result: fromFile('knockd-helper', importKnockdHelper),
    heading: from =>
      `From the pktables services in ${from}. Services made by pktables init are in the kernel already; these are for ` +
      `pkctld, which takes them over. ${otherFirewalls}`,
    expected: 'lines with pktables init, such as: pktables init ssh --port 22 --syn',
  },
  fwknop: {
    result: source => {
      const file = onlyOne(source, 'fwknop FILE')
      return { result: importFwknop(readText(file), readBeside(file, 'fwknopd.conf')), from: inputName(file) }
    },
    heading: from => `From fwknop, ${from}. ${stop('fwknopd')} ${otherFirewalls}`,
    expected: 'stanzas, each with SOURCE, KEY or KEY_BASE64, HMAC_KEY or HMAC_KEY_BASE64, and OPEN_PORTS',
  },
  ipt_pkd: {
    result: fromFile('ipt_pkd', importIptPkd),
    heading: from =>
      `From rules with ipt_pkd, ${from}. Take those rules out of iptables before pkctld starts: its knocks never get to ` +
      `pkctld otherwise. ${otherFirewalls}`,
    expected: 'rules such as iptables-save prints, one with -m pkd and one with --rcheck and ACCEPT',
  },
}

/** Entries for hosts.yaml, and not a configuration of the daemon. */
const hostsSystem = 'ipt_pkd.ini'

/** As they are named on the command line. */
export const systemNames: readonly string[] = [...Object.keys(systems), hostsSystem]

interface Import extends Printed {
  /** What the error says where nothing was imported. */
  readonly nothing: UserError
}

/** The configuration in YAML. `keys` is a directory for files of secrets. */
export function importFrom(system: string, source: readonly string[], keys: string | undefined): Import {
  const secretPath = secretPaths(keys)
  if (system === hostsSystem) {
    const file = onlyOne(source, `${hostsSystem} FILE`)
    const { hosts, notes } = importIptPkdHosts(readText(file), inputName(file))
    const printed = printHosts(hosts, notes, `From ${inputName(file)}, for ~/.config/pkctl/hosts.yaml.`, secretPath)
    return { ...printed, nothing: nothingIn(inputName(file), 'sections such as [home] with a host and a key') }
  }
  const importer = Object.hasOwn(systems, system) ? systems[system] : undefined
  if (!importer) throw unknownSystem(system)
  const { result, from } = importer.result(source)
  const printed = printConfig(result, importer.heading(oneLine(from)), secretPath)
  return { ...printed, nothing: nothingIn(from || 'the arguments', importer.expected) }
}

const nothingIn = (what: string, expected: string) =>
  new UserError(`nothing in ${oneLine(what)} could be imported`, `expected ${expected}`)

function unknownSystem(system: string) {
  const meant = nearest(system, systemNames)
  const hint = meant === undefined ? `there are ${systemNames.join(', ')}` : `did you mean '${meant}'?`
  return usageError(`'${oneLine(system)}' is no system that can be imported`, hint)
}

function fromFile(system: string, read: (text: string) => ImportResult): System['result'] {
  return source => {
    const file = onlyOne(source, `${system} FILE`)
    return { result: read(readText(file)), from: inputName(file) }
  }
}

function onlyOne(source: readonly string[], form: string): string {
  const [only, ...more] = source
  if (only === undefined || more.length > 0) throw usageError(`expected: pkctl import ${form}`)
  return only
}

/** Where pkctl's files are unless flags or the configuration say otherwise. */

/** The packages make it, and a directory for keys in it. */
export const configDirectory = '/etc/pkctl'
export const defaultConfig = `${configDirectory}/pkctl.yaml`
export const defaultStateDirectory = '/var/lib/pkctl'
/** The systemd unit makes it. */
export const logDirectory = '/var/log/pkctl'
export const runDirectory = '/run/pkctl'
/** Of the process that rolls a change back unless it is confirmed; only root can write in it. */
export const rollbackDirectory = '/run/pkctl-confirm'
export const defaultSocket = `${runDirectory}/pkctl.sock`

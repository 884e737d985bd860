/** Where pkctl's files are unless flags or the configuration say otherwise. */

export const defaultConfig = '/etc/pkctl/pkctl.yaml'
export const defaultStateDirectory = '/var/lib/pkctl'
export const runDirectory = '/run/pkctl'
/** Of the process that rolls a change back unless it is confirmed; only root can write in it. */
export const rollbackDirectory = '/run/pkctl-confirm'
export const defaultSocket = `${runDirectory}/pkctl.sock`

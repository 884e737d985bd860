/** Where pkctl's files are unless flags or the configuration say otherwise. */

export const defaultConfig = '/etc/pkctl/pkctl.yaml'
export const defaultStateDirectory = '/var/lib/pkctl'
export const runDirectory = '/run/pkctl'
export const defaultSocket = `${runDirectory}/pkctl.sock`

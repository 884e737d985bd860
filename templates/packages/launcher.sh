#!/bin/sh
# Starts a program of pkctl with the package's own Node.js. Not a link: AppArmor goes by the name of the file that is started.
exec /usr/lib/pkctl/node "/usr/lib/pkctl/dist/src/cli/${0##*/}.js" "$@"

#!/bin/sh
# Starts a program of pkctl with node. If node is missing or too old, prints an error and a hint.
program=${0##*/}
needed=20.12

found=$(node --version 2>/dev/null)
major=${found#v}
minor=${major#*.}
major=${major%%.*}
minor=${minor%%.*}
if [ "${major:-0}" -gt 20 ] 2>/dev/null || { [ "${major:-0}" -eq 20 ] && [ "${minor:-0}" -ge 12 ]; } 2>/dev/null; then
  exec node "/usr/lib/pkctl/dist/src/cli/$program.js" "$@"
fi

# Whether the package of the distribution is new enough.
ID='' VERSION_ID=''
[ -r /etc/os-release ] && . /etc/os-release
case "$ID ${VERSION_ID%%.*}" in
debian\ 1[3-9] | debian\ [2-9][0-9] | debian\ ) command='apt-get install nodejs' ;;
ubuntu\ 2[5-9] | ubuntu\ [3-9][0-9]) command='apt-get install nodejs' ;;
fedora\ *) command='dnf install nodejs' ;;
*)
  machine=x64
  [ "$(uname -m 2>/dev/null)" = aarch64 ] && machine=arm64
  version=v22.12.0
  url=https://nodejs.org/dist/$version/node-$version-linux-$machine.tar.xz
  command="curl -fsSL $url | tar -xJ -C /usr/local --strip-components=1 --exclude='*.md' --exclude=LICENSE"
  ;;
esac
echo "$program: error: Node.js $needed or later is needed, and there is ${found:+only }${found:-none}" >&2
echo "$program: hint: as root: $command" >&2
exit 1

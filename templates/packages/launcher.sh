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
  version=v22.13.0
  # From SHASUMS256.txt of the version.
  case $(uname -m 2>/dev/null) in
  aarch64) machine=arm64 sum=5de54a12983d0de6ba23597d4d0194e64933e26b0f04a469db3be9c3e18b6b2b ;;
  *) machine=x64 sum=3ff0d57063c33313d73d0bdcebc4c778ad6be948234584694a042c6fe57164f6 ;;
  esac
  file=node-$version-linux-$machine.tar.xz
  command="cd /root && curl -fsSLO https://nodejs.org/dist/$version/$file"
  command="$command && echo '$sum  $file' | sha256sum -c"
  command="$command && tar -xJf $file -C /usr/local --strip-components=1 --exclude='*.md' --exclude=LICENSE"
  ;;
esac
echo "$program: error: Node.js $needed or later is needed, and there is ${found:+only }${found:-none}" >&2
echo "$program: hint: as root: $command" >&2
exit 1

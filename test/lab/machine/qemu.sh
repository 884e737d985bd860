#!/usr/bin/env bash
# Prints the QEMU that runs the machines, with its options, one in a line. Version 10 starts processes in a machine without
# KVM almost four times faster than 7.2, so that Debian 12 takes it from its backports, once: it is kept in ~/.cache/pkctl
# (or XDG_CACHE_HOME), and nothing is installed. Where it cannot be had, or does not run, Debian's own is used.
set -euo pipefail
cd "$(dirname "$0")/../../.."
own=qemu-system-x86_64
if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" != bookworm ]; then
  echo $own
  exit
fi

key=$(sha256sum <test/lab/machine/qemu.sh | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl/qemu
folder=$cache/$key
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -d "$folder" ]; then
  work=$cache/work
  trap 'rm -rf "$work"' EXIT
  rm -rf "$work"
  mkdir -p "$work/root"
  packages=(qemu-system-x86 qemu-system-data qemu-system-common seabios)
  if scripts/fetch-debian.sh bookworm-backports "$work" "${packages[@]}" >/dev/null 2>"$cache/log" 9>&-; then
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
    find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name work -exec rm -rf {} +
    mv "$work/root" "$folder"
  else
    echo "lab: no newer QEMU, for it cannot be fetched; see $cache/log" >&2
  fi
fi
newer=$folder/usr/bin/qemu-system-x86_64
# Its libraries are those of the distribution's QEMU, which is installed.
if "$newer" --version >/dev/null 2>&1; then
  printf '%s\n' "$newer" -L "$folder/usr/share/qemu"
else
  echo $own
fi

#!/usr/bin/env bash
# Starts two virtual machines, a server with pkctl and a client that can knock, for a person to play in: see docs/lab.md.
# Needs root, for the image is built of Debian packages; no network is touched.
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables socat openssh-client xz-utils \
  qemu-system-x86 qemu-utils mmdebstrap cpio e2fsprogs busybox-static kmod
npm run --silent build
exec node dist/test/lab/play.js

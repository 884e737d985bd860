#!/usr/bin/env bash
# All integration tests in an emulated machine with Debian's kernel, or those whose file names contain one of the words
# given: see docs/lab.md. Needs root, for the image is built of Debian packages; no network is touched.
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables qemu-system-x86 qemu-utils mmdebstrap cpio e2fsprogs busybox-static kmod
npm run --silent build
exec node dist/test/lab/all.js "$@"

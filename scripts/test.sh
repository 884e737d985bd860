#!/usr/bin/env bash
# Everything that must hold before a change lands: lint with import boundaries, types, unit tests, integration tests on
# the real kernel in network namespaces. Ends with a line "N passed, M failed".
cd "$(dirname "$0")/.."
# For lab/native: how much time is left.
export PKCTL_TEST_BEGAN=${PKCTL_TEST_BEGAN:-$(date +%s)}
. scripts/prepare.sh nftables iptables iproute2 libnetfilter-queue1 procps \
  socat knockd nmap hping3 faketime netbase openssh-client openssh-server \
  rpm xz-utils man-db groff zsh fish apparmor logrotate systemd init-system-helpers \
  qemu-system-x86 qemu-utils mmdebstrap cpio e2fsprogs busybox-static kmod \
  ansible-core vagrant vagrant-libvirt \
  python3-configobj python3-jinja2 python3-jsonpatch python3-jsonschema python3-netifaces \
  python3-oauthlib python3-requests python3-scapy python3-serial

fail() {
  echo "$1 failed"
  echo "0 passed, 1 failed"
  exit 1
}

rm -rf dist
npm run --silent build || fail types
npm run --silent lint || fail lint
exec node scripts/run-tests.js "$@"

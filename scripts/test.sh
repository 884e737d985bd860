#!/usr/bin/env bash
# What must hold before a change lands: types, lint with import boundaries, unit tests, and integration tests on the kernel
# at hand, in network namespaces. See docs/testing.md. Arguments: parts of file names, to run only those tests, without
# lint. Ends with a line "N passed, M failed".
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables iptables iproute2 libnetfilter-queue1 procps util-linux \
  socat knockd fwknop-client nmap hping3 faketime netbase openssh-client openssh-server \
  rpm xz-utils man-db groff zsh fish apparmor logrotate systemd init-system-helpers python3-scapy zbar-tools curl tmux \
  spin gcc libc6-dev
. scripts/fetch-token.sh
. scripts/fetch-prometheus.sh
. scripts/fetch-redis.sh
. scripts/fetch-ban-programs.sh

fail() {
  echo "$1 failed"
  echo "0 passed, 1 failed"
  exit 1
}

if [ -z "${PKCTL_TEST_BUILT:-}" ]; then
  rm -rf dist
  npm run --silent build || fail types
  node scripts/bundle.js dist/bundle/cli && node dist/bundle/cli/compile.cjs || fail bundle
  export PKCTL_TEST_BUNDLE=1
fi
[ $# = 0 ] || exec node scripts/run-tests.js "$@"
# They wait more than they compute, so more of them run at once than there are processors. Those that wait longest come first.
exec node scripts/run-tests.js "--at-once=$(($(nproc) * 2))" --beside=lint faults/ integration/ unit/

#!/usr/bin/env bash
# The integration tests that depend on the kernel, with nft's own `queue` statement, in user-mode Linux: all, or those
# whose file names contain one of the words given. See docs/testing.md. The first run builds the kernel: about five
# minutes. Ends with a line "N passed, M failed".
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables iptables iproute2 libnetfilter-queue1 procps util-linux \
  socat knockd fwknop-client nmap hping3 faketime netbase openssh-client openssh-server python3-scapy tmux

fail() {
  echo "$1"
  echo "0 passed, 1 failed"
  exit 1
}

[ -n "${PKCTL_TEST_BUILT:-}" ] || npm run --silent build || fail 'types failed'
kernel=$(test/native/build-kernel.sh) || fail 'there is no kernel to run the tests in'
exec node dist/test/native/native.js "$kernel" "$@"

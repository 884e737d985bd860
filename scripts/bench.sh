#!/usr/bin/env bash
# Measures pkctl beside what it is to be compared with, and prints one table: npm run bench -- [--json FILE] [PART...]
# Needs root, and stays in network namespaces of its own. Takes about five minutes.
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables iptables iproute2 libnetfilter-queue1 procps util-linux perl-base

npm run --silent build
exec node dist/test/bench/main.js "$@"

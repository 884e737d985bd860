#!/usr/bin/env bash
# Measures pkctl beside what it is to be compared with, and prints one table: npm run bench -- [--json FILE] [--svg FILE] [--docs] [PART...]
# Needs root, and stays in network namespaces of its own. Takes about six minutes. The part "peers" runs
# only when it is named: it installs other systems of this kind, and takes about as long again.
cd "$(dirname "$0")/.."
packages=(nftables iptables iproute2 libnetfilter-queue1 procps util-linux perl-base)
case " $* " in *' peers '*) packages+=(knockd fwknop-server fwknop-client libnetfilter-queue-dev gcc libc6-dev) ;; esac
. scripts/prepare.sh "${packages[@]}"

npm run --silent build
# What is measured are the programs of the packages.
node scripts/bundle.js dist/bundle/cli && node dist/bundle/cli/compile.cjs
export PKCTL_TEST_BUNDLE=1
exec node dist/test/bench/main.js "$@"

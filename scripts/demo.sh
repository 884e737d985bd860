#!/usr/bin/env bash
# Shows the main job in network namespaces: see test/demo.ts. Needs root; the machine's own firewall is not touched.
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo 'pkctl demo: run this as root: it makes network namespaces of its own' >&2
  exit 1
fi
. scripts/prepare.sh nftables iptables iproute2 libnetfilter-queue1
npm run --silent build
exec node dist/test/demo.js

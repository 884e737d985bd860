#!/usr/bin/env bash
# Builds build/packages/pkctl_VERSION_{amd64,arm64}.deb and pkctl-VERSION-1.{x86_64,aarch64}.rpm. PKCTL_VERSION=… builds
# them under another version than package.json's. Words after the command name the formats wanted: deb, rpm.
cd "$(dirname "$0")/.."
formats=("$@")
[ ${#formats[@]} -gt 0 ] || formats=(deb rpm)
wanted=(xz-utils)
[[ " ${formats[*]} " == *" rpm "* ]] && wanted+=(rpm)
. scripts/prepare.sh "${wanted[@]}"
npm run --silent build
exec bash scripts/build-packages.sh build/packages "${formats[@]}"

#!/usr/bin/env bash
# Makes a signed repository for apt out of packages: apt-repository.sh FOLDER URL KEY PACKAGE.deb...
#
# FOLDER is what the web server has at URL. KEY selects a secret key of gpg, such as an address. FOLDER then also has pkctl.gpg,
# the public key, and pkctl.sources, which each machine needs. Call it with all packages that the repository is to have: the
# lists are replaced. It needs apt-ftparchive, of the package apt-utils, and gpg.
set -euo pipefail
[ $# -ge 4 ] || {
  echo "usage: apt-repository.sh FOLDER URL KEY PACKAGE.deb..." >&2
  exit 2
}
folder=$(realpath -m "$1")
url=$2
key=$3
shift 3
packages=()
for package; do packages+=("$(realpath "$package")"); done
umask 022

pool=$folder/pool/main/p/pkctl
suite=$folder/dists/stable
mkdir -p "$pool"
for package in "${packages[@]}"; do
  [ "$package" = "$pool/${package##*/}" ] || install -m 644 "$package" "$pool"
done

for architecture in amd64 arm64; do
  lists=$suite/main/binary-$architecture
  mkdir -p "$lists"
  (cd "$folder" && apt-ftparchive --arch "$architecture" packages pool) >"$lists/Packages"
  gzip -9nk --force "$lists/Packages"
done
release=(-o APT::FTPArchive::Release::Origin=pkctl -o APT::FTPArchive::Release::Suite=stable
  -o APT::FTPArchive::Release::Codename=stable -o APT::FTPArchive::Release::Components=main
  -o APT::FTPArchive::Release::Architectures="amd64 arm64")
signed=$(mktemp -d -p "$folder")
trap 'rm -rf "$signed"' EXIT
rm -f "$suite"/{Release,Release.gpg,InRelease}
apt-ftparchive "${release[@]}" release "$suite" >"$signed/Release"
gpg --batch --local-user "$key" --armor --detach-sign --output "$signed/Release.gpg" "$signed/Release"
gpg --batch --local-user "$key" --clearsign --output "$signed/InRelease" "$signed/Release"
chmod 644 "$signed"/*
mv "$signed"/* "$suite"

gpg --batch --yes --export --output "$folder/pkctl.gpg" "$key"
printf '%s\n' 'Types: deb' "URIs: $url" 'Suites: stable' 'Components: main' 'Signed-By: /usr/share/keyrings/pkctl.gpg' \
  >"$folder/pkctl.sources"

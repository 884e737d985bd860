#!/usr/bin/env bash
# Puts what is compiled in dist/ into packages: build-packages.sh FOLDER FORMAT..., where a format is deb or rpm. npm fetches the
# Node.js that is in them, and the machine code of ffi-rs for the other CPU, once. The same source gives the same bytes.
# PKCTL_PACKAGE_CPUS names other CPUs than "x64 arm64". PKCTL_PACKAGE_FAST=1 makes larger packages in a tenth of the time.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/npm-archive.sh
out=$(realpath -m "$1")
shift

version=${PKCTL_VERSION:-$(node -p 'require("./package.json").version')}
[[ $version =~ ^[0-9][0-9A-Za-z.+~]*$ ]] || { echo "package: $version cannot be the version of a package" >&2; exit 1; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
compression=(-Zxz) payload=w10.zstdio
[ -z "${PKCTL_PACKAGE_FAST:-}" ] || compression=(-Zgzip -z1) payload=w1.zstdio
templates=templates/packages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
umask 022

copy() { # MODE FROM TO
  install -D -m "$1" "$2" "$tree$3"
}

compressed() { # FROM TO
  mkdir -p "$tree${2%/*}"
  gzip -9n <"$1" >"$tree$2.gz"
}

# The native part of ffi-rs for a CPU as npm names it: from node_modules, or else as package-lock.json says.
native() { # CPU FOLDER
  local name=@yuuang/ffi-rs-linux-$1-gnu
  local target=$2/$name
  mkdir -p "$target"
  if [ -d "node_modules/$name" ]; then
    cp -r "node_modules/$name/." "$target"
    return
  fi
  local exact integrity archive
  read -r exact integrity < <(node -e '
    const locked = require("./package-lock.json").packages[`node_modules/${process.argv[1]}`]
    console.log(locked.version, locked.integrity)' "$name")
  archive=$(npm_archive "$name" "$exact" "$integrity")
  tar -xzf "$archive" --strip-components=1 --no-same-owner -C "$target"
}

# The Node.js that runs the programs, with its licence: npm has the binaries of nodejs.org for each CPU. Nothing of it is changed.
runtime() { # CPU FOLDER
  local exact integrity archive
  read -r exact integrity < <(node -e '
    const runtime = require("./templates/packages/runtime.json")
    console.log(runtime.version, runtime[process.argv[1]])' "$1")
  archive=$(npm_archive "node-linux-$1" "$exact" "$integrity")
  # It takes seconds to unpack, so each format uses the same files.
  local unpacked=$work/node-$1
  if [ ! -d "$unpacked" ]; then
    mkdir "$unpacked"
    tar -xzf "$archive" --strip-components=1 --no-same-owner -C "$unpacked" package/bin/node package/LICENSE
    chmod 755 "$unpacked/bin/node"
    chmod 644 "$unpacked/LICENSE"
  fi
  mkdir -p "$2/licenses/node"
  ln "$unpacked/bin/node" "$2/node"
  ln "$unpacked/LICENSE" "$2/licenses/node/LICENSE"
}

# What is needed at run time, but for what differs by CPU. The programs are bundles, which load in half of the time, with
# the packages that they use inside; the licences of these are beside them.
program() {
  local lib=$tree/usr/lib/pkctl
  node scripts/bundle.js "$lib/dist/src/cli"
  node -e '
    const { name, version: _, type, engines, license, dependencies } = require("./package.json")
    const { "ffi-rs": native } = dependencies
    const own = { name, version: process.argv[1], type, license, engines, dependencies: { "ffi-rs": native } }
    console.log(JSON.stringify(own, null, 2))
  ' "$version" >"$lib/package.json"
  local package
  while read -r package; do
    case $package in
    @yuuang/* | @types/*) ;;
    ffi-rs)
      mkdir -p "$lib/node_modules"
      cp -r "node_modules/$package" "$lib/node_modules/$package"
      ;;
    # Its first path is enough: a licence does not change from one version to the next.
    */node_modules/*) ;;
    *) licence "$package" "$lib/licenses/$package" ;;
    esac
  done < <(npm ls --omit=dev --all --parseable 2>/dev/null | sed -n "s|^$PWD/node_modules/||p" | sort)
  # Types, readmes and development files of ffi-rs; its licence stays.
  find "$lib/node_modules" -type f \( -name '*.ts' -o -name '*.map' -o -name '.*' -o -iname 'readme*' -o -iname 'changelog*' \
    -o -name '*.lock' -o -name '*.yml' \) -delete
  find "$lib/node_modules" -type d \( -name test -o -name tests -o -name examples -o -name .github -o -name .bin \) \
    -prune -exec rm -rf {} +
  find "$lib" -type d -empty -delete
  find "$lib" -type f -exec chmod 644 {} +
  # The launcher starts them.
  sed -i '1{/^#!/d}' "$lib"/dist/src/cli/*.js
  find "$lib" -type d -exec chmod 755 {} +
}

# The text of a package's licence, or what its package.json says where it has none.
licence() { # PACKAGE FOLDER
  mkdir -p "$2"
  local text
  text=$(find "node_modules/$1" -maxdepth 1 -type f -iname 'licen[cs]e*' | sort | head -n 1)
  if [ -n "$text" ]; then
    cp "$text" "$2/LICENSE"
  else
    node -p '
      const { name, license, author, repository } = require(`./node_modules/${process.argv[1]}/package.json`);
      `${name}: ${license}, by ${author?.name ?? author ?? `the authors of ${repository.url}`}`' "$1" >"$2/LICENSE"
  fi
}

# Where a system looks for things.
system() {
  local name
  # No links: AppArmor goes by the name of the file that is started.
  for name in pkctl pkctld pktables; do copy 755 $templates/launcher.sh /usr/bin/$name; done
  copy 640 templates/pkctl.yaml /etc/pkctl/pkctl.yaml
  chmod 750 "$tree/etc/pkctl"
  mkdir -m 2750 "$tree/etc/pkctl/conf.d" "$tree/etc/pkctl/keys"
  for name in pkctld pkctl-rules; do
    copy 644 templates/$name.service /usr/lib/systemd/system/$name.service
  done
  copy 644 templates/nftables.service.d.conf /usr/lib/systemd/system/nftables.service.d/pkctl.conf
  copy 644 templates/sysusers.conf /usr/lib/sysusers.d/pkctl.conf
  copy 644 templates/tmpfiles.conf /usr/lib/tmpfiles.d/pkctl.conf
  copy 644 templates/logrotate /etc/logrotate.d/pkctl
  for name in README.md CHANGELOG.md COMPATIBILITY.md CONTRIBUTING.md SECURITY.md docs; do
    mkdir -p "$tree/usr/share/doc/pkctl"
    cp -r $name "$tree/usr/share/doc/pkctl/"
  done
  copy 644 templates/pkctl.yaml /usr/share/doc/pkctl/examples/pkctl.yaml
  for name in templates/monitoring/*; do copy 644 "$name" "/usr/share/doc/pkctl/examples/monitoring/${name##*/}"; done
  for name in templates/examples/*; do copy 644 "$name" "/usr/share/doc/pkctl/examples/${name##*/}"; done
  cp -r templates/fail2ban templates/crowdsec "$tree/usr/share/doc/pkctl/examples/"
  # By name: beside them there may be an inventory and a vault of whoever builds. vagrant.yml is of use in a clone only.
  mkdir "$tree/usr/share/doc/pkctl/examples/ansible"
  cp -r templates/ansible/{site.yml,inventory.example.yml,roles} "$tree/usr/share/doc/pkctl/examples/ansible/"
  for name in "$work"/man/*; do compressed "$name" "/usr/share/man/man${name##*.}/${name##*/}"; done
  for name in pkctl pkctld pktables; do
    copy 644 "$work/completion/$name.bash" "/usr/share/bash-completion/completions/$name"
    copy 644 "$work/completion/$name.fish" "/usr/share/fish/vendor_completions.d/$name.fish"
  done
  copy 644 templates/pkctl.schema.json /usr/share/doc/pkctl/examples/pkctl.schema.json
}

# A tree of its own that begins with what all have.
begin() { # NAME CPU FOLDER-OF-ZSH
  tree=$work/$1
  cp -al "$work/common" "$tree"
  native "$2" "$tree/usr/lib/pkctl/node_modules"
  runtime "$2" "$tree/usr/lib/pkctl"
  node scripts/sbom.js "$tree/usr/share/doc/pkctl/pkctl.cdx.json" "$version" "$2"
  find "$tree/usr/lib/pkctl/node_modules/@yuuang" -type f \( -iname 'readme*' -o -name '*.ts' \) -delete
  chmod -R u=rwX,go=rX "$tree/usr/lib/pkctl/node_modules/@yuuang"
  for name in pkctl pkctld pktables; do copy 644 "$work/completion/$name.zsh" "$3/_$name"; done
  dated
}

# What is packed has the time of the source, not of the build.
dated() {
  find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

build_deb() { # CPU ARCHITECTURE
  begin "deb-$2" "$1" /usr/share/zsh/vendor-completions
  mkdir "$tree/DEBIAN"
  copy 644 templates/apparmor/usr.bin.pkctld /etc/apparmor.d/usr.bin.pkctld
  printf 'pkctl (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" \
    "$(sed -n 's/^Maintainer: //p' $templates/debian/control)" "$(date -uRd "@$SOURCE_DATE_EPOCH")" >"$work/changelog"
  compressed "$work/changelog" /usr/share/doc/pkctl/changelog
  local copyright
  copyright=$(sed -n 's/^Copyright (c) //p' LICENSE)
  {
    sed "s/@COPYRIGHT@/$copyright/" $templates/debian/copyright
    sed -n '/^Permission/,$p' LICENSE | sed 's/^$/./; s/^/ /'
  } >"$tree/usr/share/doc/pkctl/copyright"
  chmod 644 "$tree/usr/share/doc/pkctl/copyright"
  copy 644 $templates/debian/lintian-overrides /usr/share/lintian/overrides/pkctl
  install -m 755 $templates/debian/{postinst,prerm,postrm} "$tree/DEBIAN"
  install -m 644 $templates/debian/conffiles "$tree/DEBIAN"
  local size
  size=$(du -sk --exclude=DEBIAN "$tree" | cut -f1)
  sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$2/; s/@SIZE@/$size/" $templates/debian/control >"$tree/DEBIAN/control"
  (cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  chmod 644 "$tree/DEBIAN/"{control,md5sums}
  dated
  local file=$out/pkctl_${version}_$2.deb
  dpkg-deb --root-owner-group "${compression[@]}" --build "$tree" "$file" >/dev/null
  echo "$file"
}

build_rpm() { # CPU ARCHITECTURE
  begin "rpm-$2" "$1" /usr/share/zsh/site-functions
  copy 644 LICENSE /usr/share/licenses/pkctl/LICENSE
  dated
  rpmbuild -bb --quiet --target "$2-linux" --buildroot "$work/root-$2" \
    --define "_topdir $work/rpmbuild" --define "_rpmdir $out" --define '_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' \
    --define "pkctl_version $version" --define "pkctl_tree $tree" --define "pkctl_payload $payload" $templates/fedora/pkctl.spec
  echo "$out/pkctl-$version-1.$2.rpm"
}

node scripts/manual.js "$work/man" "$version"
mkdir "$work/completion"
for name in pkctl pkctld pktables; do
  for shell in bash zsh fish; do
    node dist/src/cli/pkctl.js completion $shell --program $name >"$work/completion/$name.$shell"
  done
done

tree=$work/common
program
system

declare -A debian=([x64]=amd64 [arm64]=arm64) fedora=([x64]=x86_64 [arm64]=aarch64)
for format in "$@"; do
  for cpu in ${PKCTL_PACKAGE_CPUS:-x64 arm64}; do
    case $format in
    deb) build_deb "$cpu" "${debian[$cpu]}" ;;
    rpm) build_rpm "$cpu" "${fedora[$cpu]}" ;;
    *)
      echo "package: there is no format $format; deb and rpm are" >&2
      exit 1
      ;;
    esac
  done
done

#!/usr/bin/env bash
# Builds what a release consists of into dist/: for each target an archive with
# the program, its licence and the service files, and one file of checksums.
#
#   packaging/release.sh [TARGET…]      targets: linux-amd64 linux-arm64 (default: both)
#
# Needs Go, gcc, g++ and, for the architecture that is not this machine's,
# Debian's cross compilers:
#   apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
#   apt-get install gcc-x86-64-linux-gnu g++-x86-64-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^const release = "\(.*\)"$/\1/p' cmd/moeswarm/version.go)
[ -n "$version" ] || { echo "cmd/moeswarm/version.go names no release" >&2; exit 1; }
[ $# -gt 0 ] || set -- linux-amd64 linux-arm64

# The lowest CPU that a release is for. Older ones need a build of their own.
march() {
  case $1 in
    amd64) echo x86-64-v3 ;;         # AVX2 and FMA: since 2013, 2015
    arm64) echo armv8.2-a+dotprod ;; # since 2018; Raspberry Pi 5
  esac
}
triple() {
  case $1 in amd64) echo x86_64-linux-gnu ;; arm64) echo aarch64-linux-gnu ;; esac
}

here=$(go env GOARCH)
mkdir -p dist
for target; do
  os=${target%-*} arch=${target#*-}
  if [ "$os" != linux ] || [ -z "$(march "$arch")" ]; then
    echo "$target: not a target; there are linux-amd64 and linux-arm64" >&2
    exit 2
  fi
  cc=gcc cxx=g++
  if [ "$arch" != "$here" ]; then
    cc=$(triple "$arch")-gcc cxx=$(triple "$arch")-g++
    command -v "$cxx" >/dev/null || { echo "$target: install g++-$(triple "$arch" | tr _ -)" >&2; exit 1; }
  fi
  name=moeswarm-$version-$target
  rm -rf "dist/$name"
  mkdir -p "dist/$name"
  echo "building $name"
  flags="-O3 -march=$(march "$arch")"
  # All libraries go into the program, so that it runs on any distribution and
  # in an empty container; names are looked up by Go, which needs none.
  CGO_ENABLED=1 GOOS=$os GOARCH=$arch CC=$cc CXX=$cxx CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags \
    go build -trimpath -tags netgo,osusergo -ldflags '-s -w -linkmode external -extldflags "-static"' \
    -o "dist/$name/moeswarm" ./cmd/moeswarm
  cp LICENSE README.md packaging/moeswarm.service "dist/$name/"
  tar -C dist --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
    -czf "dist/$name.tar.gz" "$name"
  rm -rf "dist/${name:?}"
done
# What an image is built from besides: the directory for data, which there must be
# for it to have an owner.
mkdir -p dist/data
cp LICENSE dist/data/
cp packaging/Containerfile dist/
(cd dist && sha256sum moeswarm-"$version"-*.tar.gz > SHA256SUMS && cat SHA256SUMS)

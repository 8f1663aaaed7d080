#!/usr/bin/env bash
# Installs the Debian packages that are missing: install-packages.sh run|test
#   run   what building and serving needs
#   test  that, and the real clients that the tests and benchmarks drive
# Nothing is downloaded where nothing is missing.
set -euo pipefail

build_packages=(git libc6-dev libstdc++-12-dev liburing-dev libblkid-dev libssl-dev)
test_packages=(
  libnbd-bin python3-libnbd # nbdinfo, nbdcopy, nbdfuse, nbdsh
  qemu-utils                # qemu-img, qemu-io, qemu-nbd
  nbdkit fio
  e2fsprogs mount util-linux # mke2fs, e2fsck, mount, losetup
)

case "${1:-}" in
  run) wanted=("${build_packages[@]}") ;;
  test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  *)
    echo "usage: $0 run|test" >&2
    exit 2
    ;;
esac

if ! command -v swift >/dev/null; then
  echo "No swift on the PATH. Install Swift 6.3 or later: https://www.swift.org/install/linux/" >&2
  exit 1
fi
if ! command -v dpkg >/dev/null; then
  echo "This is not Debian: make sure that what these packages hold is there: ${wanted[*]}" >&2
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null || true)
  if [ "$status" != "install ok installed" ]; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  echo "These packages are missing, and this is neither root nor is there sudo: ${missing[*]}" >&2
  echo "Have somebody run:  apt-get update && apt-get install -y ${missing[*]}" >&2
  exit 1
fi

echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends "${missing[@]}"

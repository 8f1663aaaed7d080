#!/usr/bin/env bash
# Puts programs under .build/tools that the tests use beside those of the system:
#   qemu-utils of bookworm-backports, whose NBD client knows extended headers
#   promtool of Prometheus, without the service that its package would start
# Nothing is installed, and nothing is fetched twice. What cannot be fetched is said here, and the
# tests that need it are skipped by name.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/.build/tools
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# fetch PACKAGE SUITE PROGRAM
fetch() {
  local package=$1 suite=$2 program=$folder/usr/bin/$3
  [ ! -x "$program" ] || return 0
  if ! command -v apt-get >/dev/null || [ ! -e "$keyring" ]; then
    echo "This is not Debian: the tests with $3 of $package are skipped." >&2
    return 0
  fi
  local work
  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$work/list"
  local options=(
    -q -o "Dir::Etc::SourceList=$work/list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
  )
  if (cd "$work" && apt-get "${options[@]}" update && apt-get "${options[@]}" download "$package") \
    >"$work/log" 2>&1; then
    mkdir -p "$folder"
    dpkg -x "$work/$package"_*.deb "$folder"
    echo "Fetched $3 of $package ($suite)"
  else
    tail -n 3 "$work/log" >&2
    echo "$package ($suite) could not be fetched: the tests with $3 are skipped." >&2
  fi
  rm -rf "$work"
}

fetch qemu-utils bookworm-backports qemu-img
fetch prometheus bookworm promtool

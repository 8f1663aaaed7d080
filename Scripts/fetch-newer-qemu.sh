#!/usr/bin/env bash
# Puts the QEMU tools of bookworm-backports under .build/newer-qemu, beside those of the system:
# their NBD client knows extended headers. Nothing is installed, and nothing is fetched twice.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$PWD/.build/newer-qemu
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -x "$folder/usr/bin/qemu-img" ] || exit 0
if ! command -v apt-get >/dev/null || [ ! -e "$keyring" ]; then
  echo "This is not Debian: the tests with a newer QEMU are skipped." >&2
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=$keyring] http://deb.debian.org/debian bookworm-backports main" >"$work/list"
options=(
  -q -o "Dir::Etc::SourceList=$work/list" -o Dir::Etc::SourceParts=/dev/null
  -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=
)
if ! (cd "$work" && apt-get "${options[@]}" update && apt-get "${options[@]}" download qemu-utils) \
  >"$work/log" 2>&1; then
  tail -n 3 "$work/log" >&2
  echo "A newer QEMU could not be fetched: the tests with it are skipped." >&2
  exit 0
fi
mkdir -p "$folder"
dpkg -x "$work"/qemu-utils_*.deb "$folder"
echo "Fetched $("$folder/usr/bin/qemu-img" --version | head -n 1)"

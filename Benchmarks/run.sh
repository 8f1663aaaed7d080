#!/usr/bin/env bash
# Builds the load generator and compares: run.sh PATH-OF-LAMINA [ARGUMENTS OF compare.py]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lamina=$1
shift
tools=$(dirname "$lamina")
clang -O2 -Wall -pthread -o "$tools/nbd-load" "$here/nbd-load.c"
exec /usr/bin/python3 "$here/compare.py" --lamina "$lamina" --load "$tools/nbd-load" "$@"

#!/usr/bin/env bash
# Builds the load generator and runs one of the benchmarks:
# run.sh compare|snapshots PATH-OF-LAMINA [ARGUMENTS OF THE BENCHMARK]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
benchmark=$1
lamina=$2
shift 2
tools=$(dirname "$lamina")
clang -O2 -Wall -pthread -o "$tools/nbd-load" "$here/nbd-load.c"
exec /usr/bin/python3 "$here/$benchmark.py" --lamina "$lamina" --load "$tools/nbd-load" "$@"

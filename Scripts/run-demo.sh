#!/usr/bin/env bash
# Serves a 1 TiB volume from a pool of 1.5 GiB in ./demo: run-demo.sh PATH-OF-LAMINA
# What is there already is kept: run it again and the data is still there.
set -euo pipefail
cd "$(dirname "$0")/.."
lamina=$1
home=$PWD/demo
socket=$home/demo.sock
export LAMINA_HOME=$home
mkdir -p "$home"

if [ ! -e "$home/demo.pool.json" ]; then
  "$lamina" pool create demo --device "$home/a.img:1G" --device "$home/b.img:512M"
fi

if ! "$lamina" volume show demo/disk >/dev/null 2>&1; then
  "$lamina" volume create demo/disk 1T
fi

cat <<TEXT

Serving demo/disk, 1 TiB, from a pool of 1.5 GiB. In another terminal:

  nbdinfo nbd://127.0.0.1/disk
  nbdinfo --map 'nbd+unix:///disk?socket=$socket'
  qemu-img convert -n -O raw SOME-IMAGE nbd://127.0.0.1/disk
  sudo nbd-client 127.0.0.1 /dev/nbd0 -N disk
  $lamina pool status demo --home $home

Control-C stops it; the data stays in ./demo.

TEXT
exec "$lamina" serve demo --listen "unix:$socket" --listen 127.0.0.1:10809

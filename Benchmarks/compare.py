#!/usr/bin/env python3
"""Compares Lamina with qemu-nbd (raw and qcow2) and nbdkit's file plugin on the same work.

The servers run side by side and each work goes round them, round by round, so that a slow minute
of the machine meets all of them. Printed are medians, and each server's ratio to Lamina. CPU is the
user and system time of the server's process per request. Figures of one run compare servers; they
do not compare machines or days.

All but nbdkit use O_DIRECT. It has none: its cache=none goes through the page cache and drops pages
afterwards, so its reads are partly reads of memory, and can be faster than the disk. Its peer is
lamina-buffered, the same server with --cache buffered. Nobody is asked for FUA, and a run of
writes ends with a flush inside the time.
"""
import argparse
import json
import os
import shutil
import statistics
import tempfile

from servers import FILL, GIB, MIB, Lamina, LaminaBuffered, NbdkitFile, QemuQcow2, QemuRaw, \
    measure


# name, arguments of nbd-load, needs a fresh volume for each round
WORKS = [
    ("4 KiB random read", ["--size", "4096", "--depth", "32"], False),
    ("4 KiB random overwrite", ["--write", "--size", "4096", "--depth", "32"], False),
    ("1 MiB sequential read", ["--sequential", "--size", str(MIB), "--depth", "8"], False),
    ("1 MiB sequential write",
     ["--write", "--sequential", "--size", str(MIB), "--depth", "8"], False),
    ("4 KiB first write", ["--write", "--distinct", "--size", "4096", "--depth", "32"], True),
]


def fill(server, options):
    """Reads of what was never written reach no disk, so everything is written once."""
    measure(server, options.load, FILL, options.span, 600)


def summarise(servers, work, rounds):
    rows = []
    for server in servers:
        runs = rounds[server.name]
        row = {"server": server.name, "work": work}
        for key in ("iops", "megabytesPerSecond", "serverMicrosecondsPerRequest",
                    "clientMicrosecondsPerRequest"):
            row[key] = round(statistics.median(run[key] for run in runs), 3)
        row["iopsOfEachRound"] = [run["iops"] for run in runs]
        rows.append(row)
    first = rows[0]
    for row in rows:
        row["laminaTimesIOPS"] = round(first["iops"] / max(row["iops"], 1), 3)
        cpu = first["serverMicrosecondsPerRequest"]
        row["timesLaminaCPU"] = round(
            row["serverMicrosecondsPerRequest"] / cpu, 3) if cpu > 0 else None
    return rows


def show(work, rows):
    print(f"\n{work}")
    print(f"  {'':16} {'IOPS':>9} {'MB/s':>8} {'server µs':>10} {'Lamina IOPS':>12}"
          f" {'CPU/Lamina':>11}")
    for row in rows:
        cpu = row["timesLaminaCPU"]
        print(f"  {row['server']:16} {row['iops']:9.0f} {row['megabytesPerSecond']:8.0f}"
              f" {row['serverMicrosecondsPerRequest']:10.2f} {row['laminaTimesIOPS']:11.2f}x"
              f" {f'{cpu:10.2f}x' if cpu is not None else '–':>11}", flush=True)


def options_of_command_line():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lamina", required=True, help="the program")
    parser.add_argument("--load", required=True, help="the built nbd-load")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each run")
    parser.add_argument("--span", type=int, default=512 * MIB, help="bytes that are worked on")
    parser.add_argument("--first-write-span", type=int, default=4 * GIB)
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure")
    parser.add_argument("--only", help="works whose name contains this")
    parser.add_argument("--json", help="write the figures here as well")
    return parser.parse_args()


def main():
    options = options_of_command_line()
    Lamina.program = options.lamina
    folder = tempfile.mkdtemp(prefix="lamina-bench-", dir=options.folder)
    servers = []
    figures = []
    try:
        servers = [kind(name, folder, options.first_write_span) for name, kind in [
            ("lamina", Lamina), ("qemu-nbd-raw", QemuRaw), ("qemu-nbd-qcow2", QemuQcow2),
            ("nbdkit-file", NbdkitFile), ("lamina-buffered", LaminaBuffered)]]
        for server in servers:
            server.start(options.span)
            fill(server, options)
        for work, arguments, wants_fresh in WORKS:
            if options.only and options.only not in work:
                continue
            rounds = {server.name: [] for server in servers}
            span = options.first_write_span if wants_fresh else options.span
            for _ in range(options.rounds):
                for server in servers:
                    if wants_fresh:
                        server.fresh(span)
                    rounds[server.name].append(measure(server, options.load, arguments, span, options.seconds))
            rows = summarise(servers, work, rounds)
            show(work, rows)
            figures += rows
        print(f"\nMedians of {options.rounds} rounds of {options.seconds:g} s,"
              f" {os.cpu_count()} CPUs, {options.span >> 20} MiB of span.")
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"rounds": options.rounds, "secondsOfEachRun": options.seconds,
                           "processors": os.cpu_count(), "figures": figures}, file, indent=2)
                file.write("\n")
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()

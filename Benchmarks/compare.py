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
import socket
import statistics
import subprocess
import sys
import tempfile
import time

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Server:
    """One server over files in a folder of its own. `prepare` makes what a run of first writes
    needs: a volume that nobody has written to."""

    def __init__(self, name, folder, span):
        self.name, self.folder, self.span = name, os.path.join(folder, name), span
        os.mkdir(self.folder)
        self.socket = os.path.join(self.folder, "s")
        self.process = None
        self.export = ""

    def launch(self, command):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self.greets():
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = open(os.path.join(self.folder, "log"), errors="replace").read()
                sys.exit(f"{self.name} does not serve:\n{' '.join(command)}\n{text[-2000:]}")
            time.sleep(0.02)

    def greets(self):
        probe = socket.socket(socket.AF_UNIX)
        probe.settimeout(2)
        try:
            probe.connect(self.socket)
            return probe.recv(8) == b"NBDMAGIC"
        except OSError:
            return False
        finally:
            probe.close()

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        if os.path.exists(self.socket):
            os.unlink(self.socket)


class FileServer(Server):
    """A server of one image file; a fresh volume is a new image and a new process."""

    def start(self, size):
        image = os.path.join(self.folder, "image")
        if os.path.exists(image):
            os.unlink(image)
        self.make_image(image, size)
        self.launch(self.command(image))

    def fresh(self, size):
        self.stop()
        self.start(size)

    def make_image(self, image, size):
        with open(image, "wb") as file:
            file.truncate(size)


class QemuRaw(FileServer):
    def command(self, image):
        return ["qemu-nbd", "--format=raw", "--cache=none", "--aio=" + qemu_aio(), "--persistent",
                "--shared=0", "--discard=unmap", "--socket=" + self.socket, image]


class QemuQcow2(QemuRaw):
    def make_image(self, image, size):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, str(size)], check=True)

    def command(self, image):
        return [a.replace("--format=raw", "--format=qcow2") for a in super().command(image)]


class NbdkitFile(FileServer):
    def command(self, image):
        return ["nbdkit", "--foreground", "--unix", self.socket, "file", image, "cache=none"]


class Lamina(Server):
    program = None
    cache = "direct"

    def run(self, *arguments):
        subprocess.run([self.program, *arguments, "--home", self.folder], check=True,
                       stdout=subprocess.DEVNULL)

    def start(self, size):
        devices = []
        # Room for every first write to take a whole extent, over two devices.
        for name, share in [("a.img", 3), ("b.img", 2)]:
            room = (self.span * 2 + 8 * GIB) * share // 5 // MIB * MIB
            devices += ["--device", f"{os.path.join(self.folder, name)}:{room}"]
        self.run("pool", "create", "bench", *devices)
        self.launch([self.program, "serve", "bench", "--home", self.folder,
                     "--cache", self.cache, "--listen", "unix:" + self.socket])
        self.export = "bench"
        self.run("volume", "create", "bench/bench", str(size))

    def fresh(self, size):
        name = "first"
        if self.export == name:
            self.run("volume", "delete", "bench/" + name)
        self.run("volume", "create", "bench/" + name, str(size))
        self.export = name


class LaminaBuffered(Lamina):
    cache = "buffered"


def qemu_aio():
    text = subprocess.run(["qemu-nbd", "--help"], capture_output=True, text=True).stdout
    return "io_uring" if "io_uring" in text else "native"


# name, arguments of nbd-load, needs a fresh volume for each round
WORKS = [
    ("4 KiB random read", ["--size", "4096", "--depth", "32"], False),
    ("4 KiB random overwrite", ["--write", "--size", "4096", "--depth", "32"], False),
    ("1 MiB sequential read", ["--sequential", "--size", str(MIB), "--depth", "8"], False),
    ("1 MiB sequential write",
     ["--write", "--sequential", "--size", str(MIB), "--depth", "8"], False),
    ("4 KiB first write", ["--write", "--distinct", "--size", "4096", "--depth", "32"], True),
]


def measure(server, options, arguments, span):
    command = [options.load, "--address", server.socket, "--export", server.export, "--pid",
               str(server.process.pid), "--seconds", str(options.seconds), "--span", str(span)]
    result = subprocess.run(command + arguments, capture_output=True, text=True,
                            timeout=options.seconds * 20 + 120)
    if result.returncode != 0:
        sys.exit(f"{server.name}: {' '.join(command + arguments)}\n{result.stderr}")
    return json.loads(result.stdout)


def fill(server, options):
    """Reads of what was never written reach no disk, so everything is written once."""
    saved = options.seconds
    options.seconds = 600
    measure(server, options, ["--write", "--distinct", "--size", str(MIB), "--depth", "8"],
            options.span)
    options.seconds = saved


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
                    rounds[server.name].append(measure(server, options, arguments, span))
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

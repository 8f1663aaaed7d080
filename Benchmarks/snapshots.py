#!/usr/bin/env python3
"""What snapshots cost: the first write after one, one every few seconds, and very many of them.

after    4 KiB random writes, each block once, right after a snapshot: next to overwrites and first
         writes, and next to qcow2 with an internal snapshot and with a backing file. Rounds are
         interleaved; each starts from a volume that was filled anew.
often    a snapshot every few seconds under random writes, so that most writes meet a third layer:
         what writes cost, what is copied, in how many pieces an extent is read, and what space a
         changed block takes. Next to the same load without snapshots.
many     thousands of snapshots of one volume and a chain of clones of clones: what the next one
         costs, whether reads depend on how many there are, and how long a start takes.
"""
import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time

from servers import FILL, KIB, MIB, Lamina, QemuQcow2, measure

RANDOM_WRITE = ["--write", "--size", "4096", "--depth", "32"]
DISTINCT_WRITE = RANDOM_WRITE + ["--distinct"]
RANDOM_READ = ["--size", "4096", "--depth", "32"]
EXTENT_READ = ["--size", str(64 * KIB), "--depth", "8"]


class ControlAPI:
    """The control API of a server, over its unix socket; a connection for each request."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {data.decode()}")
        return json.loads(data) if data else None


class SnapshotLamina(Lamina):
    """Lamina with the volume that is worked on, and what the control API does to it."""

    @property
    def api(self):
        return ControlAPI(os.path.join(self.folder, "bench.control"))

    def use_new_volume(self, name, size):
        if self.export != "bench":
            self.api.ask("DELETE", "/v1/volumes/" + self.export)
        self.api.ask("POST", "/v1/volumes", {"name": name, "sizeBytes": size})
        self.export = name

    def snapshot(self, name):
        self.api.ask("POST", "/v1/snapshots", {"snapshots": [f"{self.export}@{name}"]})

    def drop_snapshot(self, name):
        self.api.ask("DELETE", f"/v1/snapshots/{self.export}@{name}")

    def restart(self):
        self.stop()
        began = time.monotonic()
        self.launch([self.program, "serve", "bench", "--home", self.folder, "--cache", self.cache,
                     "--listen", "unix:" + self.socket])
        return time.monotonic() - began

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            line = next(l for l in file if l.startswith("VmRSS"))
        return int(line.split()[1]) * KIB

    def status(self):
        self.api.ask("POST", "/v1/pool/checkpoint")
        return self.api.ask("GET", "/v1/pool")


class Qcow2(QemuQcow2):
    @property
    def image(self):
        return os.path.join(self.folder, "image")

    def serve(self, image):
        self.stop()
        self.launch(self.command(image))


def after(options, folder):
    lamina = SnapshotLamina("lamina", folder, 6 * options.span)
    qcow2 = Qcow2("qcow2", folder, options.span)
    lamina.start(options.span)
    qcow2.start(options.span)
    measure(qcow2, options.load, FILL, options.span, 600)
    qcow2.stop()
    base = os.path.join(qcow2.folder, "base")
    os.rename(qcow2.image, base)

    def run(server):
        return measure(server, options.load, DISTINCT_WRITE, options.span, options.seconds)

    def filled(name):
        lamina.use_new_volume(name, options.span)
        measure(lamina, options.load, FILL, options.span, 600)

    def lamina_overwrite(i):
        filled(f"overwrite{i}")
        return run(lamina)

    def lamina_first(i):
        lamina.use_new_volume(f"first{i}", options.span)
        return run(lamina)

    def lamina_after(i):
        filled(f"after{i}")
        lamina.snapshot("s")
        figures = run(lamina)
        lamina.drop_snapshot("s")
        return figures

    def qcow2_overwrite(i):
        shutil.copyfile(base, qcow2.image)
        qcow2.serve(qcow2.image)
        return run(qcow2)

    def qcow2_internal(i):
        qcow2.stop()
        shutil.copyfile(base, qcow2.image)
        subprocess.run(["qemu-img", "snapshot", "-c", "s", qcow2.image], check=True)
        qcow2.serve(qcow2.image)
        return run(qcow2)

    def qcow2_backing(i):
        qcow2.stop()
        os.unlink(qcow2.image)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2",
                        qcow2.image], check=True)
        qcow2.serve(qcow2.image)
        return run(qcow2)

    kinds = [("lamina overwrite", lamina_overwrite), ("lamina after a snapshot", lamina_after),
             ("lamina first write", lamina_first), ("qcow2 overwrite", qcow2_overwrite),
             ("qcow2 internal snapshot", qcow2_internal), ("qcow2 backing file", qcow2_backing)]
    runs = {name: [] for name, _ in kinds}
    try:
        for i in range(options.rounds):
            for name, kind in kinds:
                runs[name].append(kind(i))
    finally:
        lamina.stop()
        qcow2.stop()
    rows = []
    for name, figures in runs.items():
        rows.append({"work": name,
                     "iops": statistics.median(f["iops"] for f in figures),
                     "serverMicroseconds": statistics.median(
                         f["serverMicrosecondsPerRequest"] for f in figures)})
    print("\n4 KiB random writes, each block once, with a flush at the end")
    print(f"  {'':26} {'IOPS':>9} {'server µs':>10} {'of lamina overwrite':>20}")
    for row in rows:
        print(f"  {row['work']:26} {row['iops']:9.0f} {row['serverMicroseconds']:10.2f}"
              f" {row['iops'] / rows[0]['iops']:19.2f}x")
    return rows


def often(options, folder):
    rows = []
    for interval in [None, options.interval]:
        lamina = SnapshotLamina(f"often{'' if interval else '-without'}", folder, 24 * options.span)
        lamina.start(options.span)
        try:
            measure(lamina, options.load, FILL, options.span, 600)
            before = lamina.status()
            stop, taken, pauses = threading.Event(), [], []

            def take():
                while interval and not stop.wait(interval):
                    began = time.monotonic()
                    lamina.snapshot(f"s{len(taken)}")
                    pauses.append(time.monotonic() - began)
                    taken.append(began)

            thread = threading.Thread(target=take)
            thread.start()
            figures = measure(lamina, options.load, RANDOM_WRITE, options.span,
                              options.often_seconds)
            stop.set()
            thread.join()
            written = lamina.status()
            reads = measure(lamina, options.load, EXTENT_READ, options.span, options.seconds)
            after_reads = lamina.status()
        finally:
            lamina.stop()
        pieces = device_reads(after_reads) - device_reads(written)
        rows.append({
            "snapshots": len(taken), "iops": figures["iops"],
            "serverMicroseconds": figures["serverMicrosecondsPerRequest"],
            "snapshotMilliseconds": 1000 * statistics.median(pauses) if pauses else None,
            "grownBytes": written["usedBytes"] - before["usedBytes"],
            "piecesOfAnExtent": pieces / max(1, reads["requests"]),
            "extentReadMegabytesPerSecond": reads["megabytesPerSecond"]})
    print(f"\n4 KiB random writes for {options.often_seconds:g} s, and a snapshot every"
          f" {options.interval:g} s")
    for row in rows:
        pause = row["snapshotMilliseconds"]
        print(f"  {row['snapshots']:4} snapshots: {row['iops']:8.0f} IOPS,"
              f" {row['serverMicroseconds']:6.2f} server µs,"
              f" {row['grownBytes'] / MIB:8.0f} MiB more in use,"
              f" {row['piecesOfAnExtent']:5.2f} device reads of 64 KiB,"
              f" {row['extentReadMegabytesPerSecond']:6.0f} MB/s"
              + (f", a snapshot takes {pause:.1f} ms" if pause else ""))
    return rows


def device_reads(status):
    return sum(device["dataReads"] for device in status["devices"])


def many(options, folder):
    lamina = SnapshotLamina("many", folder, 6 * options.span)
    lamina.start(options.span)
    rows = []

    def note(what, milliseconds):
        figures = [measure(lamina, options.load, RANDOM_READ, options.span, options.seconds)
                   for _ in range(3)]
        started = lamina.restart()
        rows.append({
            "what": what, "milliseconds": milliseconds,
            "readIOPS": statistics.median(f["iops"] for f in figures),
            "readMicroseconds": statistics.median(
                f["serverMicrosecondsPerRequest"] for f in figures),
            "startSeconds": started, "residentBytes": lamina.resident_bytes()})

    def timed(action, count):
        times = []
        for i in range(count):
            began = time.monotonic()
            action(i)
            times.append(1000 * (time.monotonic() - began))
        return statistics.median(times[-100:])

    def change(i):
        """A write of its own between two snapshots, so that no two are the same."""
        if i % 100 == 0:
            measure(lamina, options.load, RANDOM_WRITE, options.span, 0.02)

    try:
        measure(lamina, options.load, FILL, options.span, 600)
        note("no snapshot", None)
        done = 0
        for count in [100, options.snapshots]:
            def take(i, done=done):
                change(i)
                lamina.snapshot(f"s{done + i}")
            cost = timed(take, count - done)
            done = count
            note(f"{count} snapshots of one volume", cost)

        def clone(i):
            lamina.snapshot("c")
            lamina.api.ask("POST", f"/v1/snapshots/{lamina.export}@c/clone", {"name": f"c{i}"})
            lamina.export = f"c{i}"
            change(i)
        cost = timed(clone, options.clones)
        note(f"a chain of {options.clones} clones", cost)
    finally:
        lamina.stop()
    print("\nVery many snapshots and clones: 4 KiB random reads of the newest, and what it takes")
    print(f"  {'':32} {'the next, ms':>12} {'IOPS':>8} {'server µs':>10} {'start, s':>9}"
          f" {'memory, MiB':>12}")
    for row in rows:
        cost = row["milliseconds"]
        print(f"  {row['what']:32} {f'{cost:.2f}' if cost else '–':>12} {row['readIOPS']:8.0f}"
              f" {row['readMicroseconds']:10.2f} {row['startSeconds']:9.2f}"
              f" {row['residentBytes'] / MIB:12.0f}")
    return rows


PARTS = {"after": after, "often": often, "many": many}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lamina", required=True, help="the program")
    parser.add_argument("--load", required=True, help="the built nbd-load")
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each run")
    parser.add_argument("--often-seconds", type=float, default=20)
    parser.add_argument("--interval", type=float, default=2, help="seconds between snapshots")
    parser.add_argument("--span", type=int, default=512 * MIB, help="bytes that are worked on")
    parser.add_argument("--snapshots", type=int, default=10_000)
    parser.add_argument("--clones", type=int, default=1000)
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to measure")
    parser.add_argument("--json", help="write the figures here as well")
    options = parser.parse_args()
    Lamina.program = options.lamina
    figures = {}
    for name, part in PARTS.items():
        if options.only and options.only != name:
            continue
        folder = tempfile.mkdtemp(prefix="lamina-bench-", dir=options.folder)
        try:
            figures[name] = part(options, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")


main()

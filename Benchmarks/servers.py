"""The servers that the benchmarks compare, each over files in a folder of its own."""
import json
import os
import socket
import subprocess
import sys
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


# Writes every block of a span once: reads of what was never written reach no disk.
FILL = ["--write", "--distinct", "--size", str(MIB), "--depth", "8"]


def measure(server, load, arguments, span, seconds):
    """One run of the load generator on the server's export, as its JSON says."""
    command = [load, "--address", server.socket, "--export", server.export, "--pid",
               str(server.process.pid), "--seconds", str(seconds), "--span", str(span)]
    result = subprocess.run(command + arguments, capture_output=True, text=True,
                            timeout=seconds * 20 + 120)
    if result.returncode != 0:
        sys.exit(f"{server.name}: {' '.join(command + arguments)}\n{result.stderr}")
    return json.loads(result.stdout)

#!/usr/bin/env python3
"""Writes the inputs that fuzzing starts from into Fuzz/Corpus: small, and the same every time.

The structures of the on-disk format come from the golden images of its tests.
"""
import pathlib
import shutil
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "Fuzz" / "Corpus"
GOLDEN = ROOT / "Tests" / "DiskFormatTests" / "Golden"


def seed(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def golden(name):
    lines = (GOLDEN / f"{name}.hex").read_text().splitlines()
    data = bytearray(int(lines[0].split()[1]))
    for line in lines[1:]:
        place, digits = line.split(":")
        part = bytes.fromhex(digits)
        data[int(place, 16):int(place, 16) + len(part)] = part
    return bytes(data)


def disk_format():
    """The first byte is FormatInput.Structure, the second FormatInput.Preparation."""
    structures = {
        "superblock-v1": 0, "map-leaf-v1": 1, "map-inner-v1": 1, "catalogue-leaf-v1": 1,
        "doomed-leaf-v1": 1, "count-page-v1": 1, "segment-page-v1": 1, "segment-inner-v1": 1,
        "journal-block-v1": 3, "tail-header-v1": 5, "tail-frame-v1": 6,
        "superblock-bookmarked-v1": 0, "map-leaf-cleared-v1": 1, "snapshot-leaf-v1": 1,
        "doomed-leaf-branched-v1": 1, "version-tree-leaf-v1": 1, "bookmark-leaf-v1": 1,
    }
    for name, structure in structures.items():
        seed("DiskFormat", name, bytes([structure, 0]) + golden(name))
    # Each record of the journal block on its own.
    for block, suffix in (("journal-block-v1", ""), ("journal-block-bookmarks-v1", "-")):
        payload = golden(block)[96:]
        at = 0
        while at + 4 <= len(payload) and payload[at] != 0:
            length = 4 + struct.unpack_from("<H", payload, at + 2)[0]
            name = f"record-{payload[at]}" + (f"-{at}" if suffix else "")
            seed("DiskFormat", name, bytes([4, 0]) + payload[at:at + length])
            at += length
    page = golden("count-page-v1")
    seed("DiskFormat", "count-image", bytes([2, 2, 4, 0]) + bytes(72) + page[64:96])
    # Mended only: the header fields are those that the body expects.
    head = bytearray(64)
    struct.pack_into("<IBBBBQQQQQ", head, 0, 0x4E4D414C, 3, 1, 0, 0, 0x0123456789ABCDEF, 0, 3,
                     3 * 16, 1)
    seed("DiskFormat", "count-image-mended", bytes([2, 0, 0, 0]) + bytes(head) + bytes(6) + b"\1")


def recovery():
    seed("Recovery", "journal-chain", bytes([0, 1, 1, 1, 0]) + bytes([0, 1, 0, 0, 2]) * 4)
    seed("Recovery", "journal-oddities",
         bytes([0, 1, 1, 3, 1]) + bytes(range(1, 120)))
    seed("Recovery", "journal-edge", bytes([0, 8, 0, 8, 0]) + bytes([0, 2, 0, 4, 0, 1]) * 6)
    seed("Recovery", "tail", bytes([1, 3, 0, 0]) + bytes([0, 0, 0, 4, 0, 8]) * 10)
    seed("Recovery", "tail-oddities", bytes([1, 9, 63, 1]) + bytes(range(200)))


def replay():
    """Per block the number of records; per record a volume, a kind and what the kind takes."""
    alone = b"\0"  # The next record is no part of the same group.
    create = bytes([1, 0, 64, 10, 0, 0]) + alone
    data = bytes([1, 4, 1, 7, 1, 1, 0]) + alone

    def write(extent, at):
        return bytes([1, 8, extent, 0, 1, at, 255, 255, 0, 1, 0]) + alone

    head = bytes([9])
    seed("Replay", "volume-and-writes",
         head + create + data + b"".join(write(n, 28 + n) for n in range(4)))
    seed("Replay", "delete", head + create + data + write(0, 28) + bytes([1, 3]) + alone
         + bytes([1, 5, 252, 0, 0, 1]) + alone)
    seed("Replay", "anything", bytes(range(256)))


def option(number, data=b"", length=None):
    return b"IHAVEOPT" + struct.pack(">II", number, len(data) if length is None else length) + data


def text(value):
    return struct.pack(">I", len(value)) + value


def negotiation():
    """The first byte chooses exports and pieces; then the client's stream."""
    fixed = struct.pack(">I", 3)
    go = text(b"alpha") + struct.pack(">HHH", 2, 3, 1)
    context = text(b"alpha") + struct.pack(">I", 1) + text(b"base:allocation")
    differences = text(b"alpha") + struct.pack(">I", 4) + text(b"lamina:") + text(b"qemu:") + \
        text(b"lamina:diff:monday") + text(b"qemu:dirty-bitmap:#mark")
    streams = {
        "go": fixed + option(7, go),
        "info-then-go": fixed + option(6, go) + option(7, text(b"beta") + b"\0\0"),
        "all": fixed + option(8) + option(3) + option(9, context) + option(10, context)
        + option(7, go) + struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 512),
        "list": fixed + option(3) * 3 + option(2),
        "name": struct.pack(">I", 1) + option(1, b"gamma"),
        "name-not-fixed": struct.pack(">I", 0) + option(1, b"alpha"),
        "unknown": fixed + option(77, b"abc") + option(7, text(b"nothing") + b"\0\0"),
        "long": fixed + option(7, b"x" * 100, length=70000) + b"y" * 2000,
        "broken": fixed + option(10, context[:-3]) + option(6, go[:-1]) + option(8, b"z"),
        "flags": struct.pack(">I", 0xFFFF),
        "differences": fixed + option(8) + option(9, differences) + option(10, differences)
        + option(9, text(b"alpha") + struct.pack(">I", 0)) + option(7, go),
    }
    for i, (name, stream) in enumerate(streams.items()):
        seed("Negotiation", name, bytes([i]) + stream)


def transmission():
    """The first byte: export, what was agreed on; the second: bit 0 says whether a script follows.

    Eight bytes a request of a script: kind, flags, offset, length in sectors, a byte, oddities.
    """
    def op(kind, flags, offset, length, byte=0x41, odd=0):
        if length > 255:
            odd |= 64
        return struct.pack(">BBHHBB", kind, flags, offset, length, byte, odd)

    mixed = (op(1, 0, 0, 8) + op(0, 0, 0, 16) + op(1, 1, 3, 1) + op(2, 0, 0, 0) + op(3, 0, 0, 64)
             + op(4, 2, 64, 64) + op(5, 0, 0, 128) + op(0, 4, 0, 2500))
    for choice in (0, 1, 2, 4, 5, 12, 13, 14):
        for pieces in (1, 129):
            seed("Transmission", f"script-{choice}-{pieces}", bytes([choice, pieces]) + mixed)
    seed("Transmission", "script-large",
         bytes([4, 1]) + op(1, 0, 100, 4000) + op(0, 0, 0, 5000) + op(0, 0, 2000, 4000))
    seed("Transmission", "script-odd", bytes([12, 1]) + b"".join(
        op(i, i, i, i + 1, byte=i, odd=1 << (i % 8)) for i in range(24)))

    def request(kind, flags, cookie, offset, length, payload=b""):
        return struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie, offset, length) + payload

    raw = (request(1, 0, 1, 0, 512, b"w" * 512) + request(0, 0, 2, 0, 1024)
           + request(3, 0, 3, 0, 0) + request(7, 8, 4, 0, 4096) + request(2, 0, 5, 0, 0)
           + request(0, 0, 6, 0, 512))
    for choice in (0, 4, 12):
        seed("Transmission", f"raw-{choice}", bytes([choice, 0]) + raw)
    seed("Transmission", "raw-refused",
         bytes([4, 2]) + request(1, 99, 1, 1, 700, b"r" * 700) + request(9, 0, 2, 0, 9)
         + request(0, 0, 3, 1 << 63, 512) + request(6, 16, 4, 0, 8192))


def control():
    uuid = '"01234567-89ab-cdef-0123-456789abcdef"'
    bodies = {
        0: ['{"name":"disk","sizeBytes":1073741824}',
            '{"name":"d","sizeBytes":4096,"logicalBlockBytes":4096,'
            '"fullPolicy":{"mode":"wait","waitSeconds":9}}',
            '{"name":"d","sizeBytes":512,"fullPolicy":{"mode":"error"},"more":1}'],
        1: ['{"recordVersion":1,"name":"tank","uuid":' + uuid + ',"cacheMode":"direct",'
            '"devices":[{"path":"/srv/a","uuid":' + uuid + ',"index":0,"sizeBytes":67108864}]}'],
        2: ['{"host":"h","processID":1,"process":"lamina serve tank",'
            '"since":"2026-01-02T03:04:05Z","controlSocketPath":"/run/c","tailPath":"/dev/shm/t",'
            '"listeners":["unix:/run/n"]}'],
        3: ['{"code":"volume-not-found","message":"m","cause":"c","details":["d"],'
            '"correction":"e","objects":[{"kind":"volume","name":"n"}]}',
            '{"code":"of-tomorrow","message":"m"}'],
        4: ['{"name":"disk","pool":"tank","uuid":' + uuid + ',"id":7,"sizeBytes":512,'
            '"allocatedBytes":0,"mappedBytes":0,"logicalBlockBytes":512,"readOnly":false,'
            '"fullPolicy":{"mode":"error"},"createdAt":"2026-01-02T03:04:05Z"}'],
        5: ['{"name":"tank","uuid":' + uuid + ',"state":"online","sizeBytes":1,"usedBytes":1,'
            '"freeBytes":1,"metadataBytes":1,"reclaimableBytes":1,"volumeCount":1,'
            '"segmentSizeBytes":65536,"allocationRunBytes":65536,"cacheMode":"direct",'
            '"checkpointSequence":1,"devices":[{"path":"/srv/a","uuid":' + uuid + ',"index":0,'
            '"sizeBytes":1,"usedBytes":1,"dataReads":1,"dataWrites":1,"nodeReads":1,'
            '"nodeWrites":1,"flushes":1}]}'],
        6: ['{"version":"1.0","apiVersion":1,"outputVersion":1,"formatVersions":[1]}'],
        7: ["10T", "1.5GiB", "512", "1536 M", "0.0009765625K", "9P"],
        8: ["disk-1", "a" * 127, "..", "caf\u00e9"],
        9: ["unix:/run/x", "[::1]:10809", "127.0.0.1:1", "host"],
        10: ["/dev/sda", "/srv/a.img:10G", "/dev/disk/by-path/pci-0:0:"],
        11: ["tank/disk", "tank/disk@snap", "a/b/c"],
        12: ["error", "wait", "wait:60"],
        13: ["unix:/run/x y", "[fe80::1%eth0]"],
    }
    for kind, texts in bodies.items():
        for i, value in enumerate(texts):
            seed("Control", f"{kind}-{i}", bytes([kind]) + value.encode())


def stream():
    """The first byte: whether checksums are mended; the second: how large the pieces are."""
    folder = ROOT / "Tests" / "StreamFormatTests" / "Golden"
    for name in ("full-v1", "incremental-v1"):
        data = bytes.fromhex((folder / f"{name}.hex").read_text())
        seed("Stream", name, bytes([0, 255]) + data)
        seed("Stream", f"{name}-mended", bytes([1, 0]) + data)
        seed("Stream", f"{name}-cut", bytes([1, 20]) + data[:1024 + 40 + 4096])


if __name__ == "__main__":
    shutil.rmtree(CORPUS, ignore_errors=True)
    disk_format()
    recovery()
    replay()
    negotiation()
    transmission()
    control()
    stream()

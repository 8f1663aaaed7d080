#!/usr/bin/env python3
"""Tests the crash harness: makes one mistake after the other and sees whether it is caught.

Each patch in Mutations/ is one mistake in the logic. It is applied to a copy of the sources, the
copy's prover is built, and the catchers run until one of them fails. A patch that no longer applies
fails the run: mend it, or remove it together with what it was about. Mistakes of devices (a barrier
that does nothing, a fence that is off) are made by the devices and by the harness that are handed
in, and need no patch: they are runs of the prover with an option.

Exit code 0: every mistake was caught. 1: some were not, or a patch does not apply. 2: the catchers
fail without any mistake, or something cannot be built.
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, ".build-mutate")
TREE = os.path.join(WORK, "tree")
FLAGS = ["-c", "release", "--product", "lamina-prove", "--package-path", TREE,
         "--scratch-path", os.path.join(WORK, "build")]

# Arguments of lamina-prove; each ends with 1 when it has found something. The quick ones first.
QUICK_FAMILIES = [
    "write-during-barrier", "fua-after-discard", "torn-group", "third-layer", "shared-root",
    "snapshot-beside-writes", "late-read", "late-write", "sub-block-writes", "discard-beside-write",
    "unshare-before-drop", "delete-while-written", "late-punch", "reuse-of-freed-space",
    "bookmark-raises", "shrink-beside-writes", "trash-against-pressure", "rename-beside-writer",
    "receive-upon-snapshot", "torn-receive", "shrink-beside-snapshot",
    "old-device", "crash-during-start", "rollback-beside-flush", "drop-beside-clone",
]
CATCHERS = [
    ("explore, quick families", ["explore"] + [a for f in QUICK_FAMILIES for a in ("--family", f)]),
    ("simulate", ["simulate", "--seconds", "40", "--seed", "1"]),
    ("fail-io", ["fail-io"]),
    ("explore", ["explore"]),
]


def copy_tree():
    """The files of the repository as they are now; times kept, so that builds are incremental."""
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True).stdout.decode().split("\0")
    wanted = [n for n in names if n and os.path.exists(os.path.join(ROOT, n))]
    os.makedirs(TREE, exist_ok=True)
    for name in wanted:
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or read(source) != read(target):
            shutil.copy2(source, target)
    kept = {os.path.join(TREE, n) for n in wanted}
    for folder, _, files in os.walk(TREE):
        for file in files:
            path = os.path.join(folder, file)
            if path not in kept and not path.endswith("Package.resolved"):
                os.unlink(path)
    resolved = os.path.join(ROOT, "Package.resolved")
    if os.path.exists(resolved):
        shutil.copy2(resolved, os.path.join(TREE, "Package.resolved"))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def apply(patch, *options):
    return subprocess.run(
        ["patch", "--strip=1", "--fuzz=0", "--force", "--silent", "--directory", TREE,
         "--reject-file=-", "--no-backup-if-mismatch", "--input", patch, *options],
        capture_output=True, text=True)


def build():
    result = subprocess.run(["swift", "build", *FLAGS], capture_output=True, text=True)
    lines = [l for l in (result.stdout + result.stderr).splitlines() if "error:" in l]
    return result.returncode == 0, "\n".join(lines[:5])


def program():
    result = subprocess.run(
        ["swift", "build", *FLAGS, "--show-bin-path"], check=True, capture_output=True, text=True)
    return os.path.join(result.stdout.strip(), "lamina-prove")


def catch(prove, catchers, limit):
    """The catcher that fails, how long it took in seconds, and what it had looked at."""
    for name, arguments in catchers:
        began = time.monotonic()
        try:
            run = subprocess.run([prove, *arguments], capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            # A mistake that never ends is seen as well as one that fails.
            return name, time.monotonic() - began, "does not end"
        seconds = time.monotonic() - began
        if run.returncode == 0:
            continue
        if run.returncode < 0 or run.returncode > 1:
            return name, seconds, "a check of the program's own"
        states = re.findall(r"^crash states\s+([0-9]+)", run.stdout, re.MULTILINE)
        return name, seconds, f"{states[-1]} states" if states else "failed"
    return None, 0, ""


def check():
    """Whether every patch applies to the sources as they are, without a copy of them."""
    patches = sorted(glob.glob(os.path.join(ROOT, "Mutations", "*.patch")))
    stale = [p for p in patches if subprocess.run(
        ["git", "-C", ROOT, "apply", "--check", p], capture_output=True).returncode != 0]
    for patch in stale:
        print(f"does not apply any longer: {os.path.relpath(patch, ROOT)}")
    print(f"mutations: {len(patches)} patches, {len(stale)} stale")
    return 1 if stale else 0


def title(patch):
    with open(patch) as file:
        return file.readline().strip()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="patches whose name contains this")
    parser.add_argument("--start", type=int, default=1, help="begin with this patch's number")
    parser.add_argument("--limit", type=int, default=1800,
                        help="seconds of one catcher: far more than the slowest takes here")
    parser.add_argument("--check", action="store_true",
                        help="only see whether every patch still applies")
    parser.add_argument("--skip-baseline", action="store_true",
                        help="do not run the catchers without a mistake first")
    parser.add_argument("--json", help="write the table here as well")
    options = parser.parse_args()

    if options.check:
        return check()
    copy_tree()
    patches = sorted(glob.glob(os.path.join(ROOT, "Mutations", "*.patch")))
    if options.only:
        patches = [p for p in patches if options.only in os.path.basename(p)]
    patches = patches[options.start - 1:]
    stale = [p for p in patches if apply(p, "--dry-run").returncode != 0]
    for patch in stale:
        print(f"does not apply any longer: {os.path.basename(patch)}")
    if stale:
        return 1

    began = time.monotonic()
    is_built, problem = build()
    if not is_built:
        print(f"the sources cannot be built:\n{problem}")
        return 2
    prove = program()
    if not options.skip_baseline:
        name, _, seen = catch(prove, CATCHERS, options.limit)
        if name:
            print(f"{name} fails without any mistake ({seen}): run it by hand")
            return 2
        print(f"no mistake: nothing found, {time.monotonic() - began:.0f} s\n", flush=True)

    rows, survivors = [], 0
    for number, patch in enumerate(patches, options.start):
        short = os.path.basename(patch)[:-len(".patch")]
        apply(patch)
        is_built, problem = build()
        if is_built:
            name, seconds, seen = catch(prove, CATCHERS, options.limit)
        apply(patch, "--reverse")
        if not is_built:
            print(f"{short}: cannot be built:\n{problem}")
            return 2
        if name is None:
            survivors += 1
        rows.append({"mutation": short, "what": title(patch), "caughtBy": name,
                     "seconds": round(seconds, 1), "seen": seen})
        outcome = f"{name}, {seconds:.1f} s, {seen}" if name else "NOT CAUGHT"
        print(f"{number:3}/{len(patches) + options.start - 1} {short:44} {outcome}", flush=True)

    print(f"\n{len(rows) - survivors} of {len(rows)} mistakes were caught.\n")
    print("| mutation | what | caught by | after | seen |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['mutation']} | {row['what']} | {row['caughtBy'] or '**nothing**'}"
              f" | {row['seconds']} s | {row['seen']} |")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=2)
            file.write("\n")
    return 1 if survivors else 0


sys.exit(main())

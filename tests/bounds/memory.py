#!/usr/bin/env python3
"""
A guest that has the monitor keep as much as it can: memory.py RING3 GUEST MIB[/WORD=COUNT] [option of ring3 run...]
MIB is the largest resident size of the monitor that is permitted, with the part of RAM that it touches, and the most that
the page tables of all cells may come to. WORD=COUNT goes to the guest, at the end of the last option: a quarter as many are
to take a quarter of the time of a CPU, besides the host's kernel, or not much less.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

LOOK_EVERY = 0.02
FEWER, LONGER = 4, 5


def page_tables(pid):
    """KiB of the page tables of the processes that the monitor made."""
    total = 0
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as children:
            cells = children.read().split()
    except OSError:
        return 0
    for cell in cells:
        try:
            with open("/proc/%s/status" % cell, encoding="ascii") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmPTE:"))
        except OSError:
            pass
    return total


def attack(ring3, guest, options):
    """What it said, its statistics, page tables of cells in MiB, seconds of a CPU."""
    cells, before = 0, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as work:
        stats, out = os.path.join(work, "stats"), os.path.join(work, "out")
        with open(out, "wb") as file:
            run = subprocess.Popen([ring3, "run", "--timeout", "150", "--stats", stats, *options, guest],
                                   stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
            while run.poll() is None:
                cells = max(cells, page_tables(run.pid) >> 10)
                time.sleep(LOOK_EVERY)
        with open(out, "rb") as file:
            said = file.read()
        with open(stats, encoding="ascii") as file:
            told = json.load(file)
    print(said.decode(errors="replace"))
    if run.returncode or not said.endswith(b"done\n"):
        sys.exit("FAIL: status %d" % run.returncode)
    return told, cells, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


ring3, guest, limits, *options = sys.argv[1:]
mib, _, many = limits.partition("/")
word, _, count = many.partition("=")
if many:
    few = [*options[:-1], "%s %s=%d" % (options[-1], word, int(count) // FEWER)]
    options[-1] += " " + many
told, cells, took = attack(ring3, guest, options)
shadow, code, memory = told["shadow"], told["code"], told["memory"]
peak = memory["monitor_peak_bytes"] >> 20
print("monitor %d MiB, page tables of cells %d MiB" % (peak, cells))
print("shadow", shadow, "code", code, "memory", memory)
if max(peak, cells) > int(mib):
    sys.exit("FAIL: %s MiB are permitted" % mib)
for kept, most in ((shadow["memory_bytes"], shadow["memory_bytes_max"]), (code["bytes"], code["bytes_max"])):
    if kept > most + (1 << 20):
        sys.exit("FAIL: %d bytes are kept, and %d may be" % (kept, most))
if many:
    less = attack(ring3, guest, few)[2]
    print("%.2f s of CPU, %.2f for a quarter" % (took, less))
    if took > LONGER * less:
        sys.exit("FAIL: more than %d times as long" % LONGER)

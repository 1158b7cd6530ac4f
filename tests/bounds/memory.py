#!/usr/bin/env python3
"""
A guest that has the monitor keep as much as it can: memory.py RING3 GUEST MIB[/SECONDS] [option of ring3 run...]
MIB is the largest resident size of the monitor that is permitted, with the part of RAM that it touches, and the most that
the page tables of all cells may come to; SECONDS the most time of a CPU that it takes besides the host's kernel.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

LOOK_EVERY = 0.02


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


ring3, guest, limits, *options = sys.argv[1:]
mib, _, seconds = limits.partition("/")
cells = 0
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
shadow, code, memory = told["shadow"], told["code"], told["memory"]
peak = memory["monitor_peak_bytes"] >> 20
print(said.decode(errors="replace"))
print("monitor %d MiB, page tables of cells %d MiB" % (peak, cells))
print("shadow", shadow, "code", code, "memory", memory)
if run.returncode or not said.endswith(b"done\n"):
    sys.exit("FAIL: status %d" % run.returncode)
if max(peak, cells) > int(mib):
    sys.exit("FAIL: %s MiB are permitted" % mib)
for kept, most in ((shadow["memory_bytes"], shadow["memory_bytes_max"]), (code["bytes"], code["bytes_max"])):
    if kept > most + (1 << 20):
        sys.exit("FAIL: %d bytes are kept, and %d may be" % (kept, most))
took = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
if seconds and took > float(seconds):
    sys.exit("FAIL: %.1f s of CPU, %s are permitted" % (took, seconds))

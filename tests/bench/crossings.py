#!/usr/bin/env python3
"""What each measure of bench_user crosses between guest and monitor, an operation: a table in Markdown.

    tests/bench/crossings.py [--build build] [--system tinix] [--cpus 1] [MEASURE...]

Counts do not depend on how busy the host is. What start and end of a guest cost is taken off: as much as a run that only
computes. `direct` is a SYSCALL with its return that passed between the guest's user and kernel mode without the monitor;
`software` are sensitive instructions that were done there, after exits of their own or on the way from another one (IN and
OUT left out, by which a kernel measures its clock as it starts).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import report
import systems

LINE = re.compile(r"bench: (\w+) median ([\d.]+) .* all (\d+)")
BASE = "compute"
BUDGET_MS = "600"  # what a process costs once, in the rows that have some, is to be little of it
KINDS = ["direct", "hypercall", "shadow_fill", "page_fault", "syscall", "exception", "kick", "software"]
PORTS = ["in", "out"]


def in_software(document):
    return sum(one["interpreted"] for one in document["sensitive"] if one["instruction"] not in PORTS)


def run(system, measure, work, cpus):
    stats = os.path.join(work, "stats")
    command = system.program(["--budget", BUDGET_MS, measure])
    command[2:2] = ["--stats", stats, "--timeout", "60", "--cpus", cpus]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True).stdout
    found = LINE.search(output)
    with open(stats) as file:
        document = json.load(file)
    exits = document["vcpus"][0]["exits"] | {"software": in_software(document)}
    return int(found[3]), exits, document["shadow"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("--cpus", default="1")
    parser.add_argument("--system", default="tinix", help="a key of systems.all_systems that is a guest of ring3's")
    parser.add_argument("measures", nargs="*", default=[row for row in report.ROWS if row not in ("prompt", "crowd")])
    options = parser.parse_args()
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with tempfile.TemporaryDirectory() as work:
        tree = systems.Tree(options.build, source, work)
        every = systems.all_systems(options.build, source, tree, work)
        system = next(one for one in every if one.key == options.system)
        _, base, base_shadow = run(system, BASE, work, options.cpus)
        print("| what | " + " | ".join(f"`{kind}`" for kind in KINDS) + " | pages mapped | dropped |")
        print("|---|" + "---:|" * (len(KINDS) + 2))
        for measure in options.measures:
            count, exits, shadow = run(system, measure, work, options.cpus)
            each = [(exits.get(kind, 0) - base.get(kind, 0)) / count for kind in KINDS]
            each += [(shadow[name] - base_shadow[name]) / count for name in ("pages_mapped", "drops")]
            print(f"| {report.ROWS[measure]} | " + " | ".join(f"{max(n, 0):.2f}" for n in each) + " |", flush=True)


main()

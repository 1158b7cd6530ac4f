#!/usr/bin/env python3
"""kvm-unit-tests on ring3 beside QEMU's translator, as a table:

    units.py RING3 SUITE... [--engines interpret,hybrid] [--cpu MODEL] [--limit SECONDS] [--only NAME,NAME]

A SUITE is a folder of kvm-unit-tests, configured and built (./configure --arch=x86_64 or i386; make), which is not part
of this project: github.com/kvm-unit-tests. Every entry of its x86/unittests.cfg that wants one processor is run, with what
the entry says, one after the other. A cell has P (passed), F (failed, and how many), S (skipped itself), T (no end within
the limit), - (not of this architecture); QEMU is asked with the processor that the entry names.
"""
import argparse
import os
import re
import shlex
import subprocess
import time

# Entries for what no machine here is: nested virtualization, other hypervisors' interfaces, counters, an IOMMU.
LEFT_OUT = re.compile(r"vmx|svm|ept|hyperv|pmu|asyncpf|vmware|intel_iommu|_fep$|reduced")
PASSED, SKIPPED = 1, 77  # (v << 1) | 1 of v = 0; and what the suite's skipping comes to


def entries(suite):
    name, found = None, {}
    with open(os.path.join(suite, "x86/unittests.cfg"), encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line.startswith("["):
                name = line[1:-1]
                found[name] = {}
            elif "=" in line and name:
                key, value = (part.strip() for part in line.split("=", 1))
                found[name][key] = value
    return {name: entry for name, entry in found.items()
            if int(entry.get("smp", 1)) == 1 and not LEFT_OUT.search(name)}


def run(command, limit):
    began = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return "T"
    took = time.monotonic() - began
    text = done.stdout.decode(errors="replace")
    summary = re.search(r"SUMMARY: (\d+) tests(?:, (\d+) unexpected failures)?", text)
    if done.returncode == SKIPPED:
        return "S"
    if done.returncode == PASSED:
        return "P %s%.1f s" % (summary.group(1) + ", " if summary else "", took)
    return "F" + (" %s of %s" % (summary.group(2), summary.group(1)) if summary and summary.group(2) else "")


def arch_of(suite):
    with open(os.path.join(suite, "config.mak"), encoding="utf-8") as file:
        return re.search(r"^ARCH=(\S+)", file.read(), re.M).group(1)


def cells(args, suite, arch, entry):
    image = os.path.join(suite, "x86", entry["file"])
    if entry.get("arch", arch) != arch or not os.path.exists(image):
        return ["-"] * (len(args.engines) + 1)
    words = entry.get("test_args", "").strip("'\"")
    params = shlex.split(entry.get("qemu_params", "").strip("'\"")) or ["-cpu", "max"]
    vendor = re.search(r",vendor=\w+", " ".join(params))
    cpu = args.cpu + (vendor.group() if vendor else "")
    row = []
    for engine in args.engines:
        row.append(run([args.ring3, "run", "--engine", engine, "--machine", "testdev", "--cpu", cpu, "-m", "128M",
                        "--append", words, image], args.limit))
    row.append(run(["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio",
                    "-device", "pc-testdev", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4", "-kernel", image,
                    "-append", words, *params], args.limit))
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("ring3")
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=["interpret", "hybrid"])
    parser.add_argument("--cpu", default="host")
    parser.add_argument("--limit", type=float, default=40)
    parser.add_argument("--only", type=lambda text: text.split(","))
    args = parser.parse_args()
    suites = [(suite, arch_of(suite)) for suite in args.suites]
    columns = [f"`{name}`, {arch}" for _, arch in suites for name in args.engines + ["TCG"]]
    print("| entry | " + " | ".join(columns) + " |")
    print("|" + "---|" * (len(columns) + 1))
    for name, entry in entries(args.suites[0]).items():
        if not args.only or name in args.only:
            row = [cell for suite, arch in suites for cell in cells(args, suite, arch, entry)]
            print(f"| {name} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()

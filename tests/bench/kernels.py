#!/usr/bin/env python3
"""Times kernels that nobody here wrote, from exec to what their console says, by turns in ring3's engines and in QEMU TCG:
    kernels.py BUILD [PASSES]
A table for docs/performance.md goes to stdout: medians in seconds, and the ratio to QEMU's; below it the speed of engine
interpret on the way there, by --stats: instructions, kernel's and programs', by the time spent with the guest and by the
process's time on a CPU, which other work on the host makes no longer; and what a unikernel of Solo5's takes from exec to
exit. The kernels are those of tests/kernels, which finds or fetches them; what cannot be had, or has no QEMU beside it, is
left out and named."""
import gzip
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 300  # seconds
RUNS = 20
QEMU = "qemu-system-x86_64"
ENGINES = ("translate", "hybrid", "interpret")
UNIKERNEL_ENGINES = ("trap", *ENGINES)

# What it is, package, file, command line, memory, initramfs, what its console says when it is there.
KERNELS = [
    ("Linux, amd64, to its shell", "linux-image-cloud-amd64", "boot/vmlinuz-*-cloud-amd64", "console=ttyS0", "256M",
     "initramfs.cpio", b"shell ready"),
    ("Linux, amd64, without ACPI, APIC, PCI", "linux-image-cloud-amd64", "boot/vmlinuz-*-cloud-amd64",
     "console=ttyS0 acpi=off noapic nolapic pci=off", "256M", "initramfs.cpio", b"shell ready"),
    ("Linux, i386, to its user mode", "linux-image-686:i386", "boot/vmlinuz-*-686", "console=ttyS0", "256M",
     "initramfs32.cpio", b"init: machine i686"),
    ("GNU Mach, i386, until it misses its first server", "gnumach-image-1.8-486:i386", "boot/gnumach-1.8-486.gz",
     "console=com0", "128M", None, b"No bootstrap code"),
    ("memtest86+, to its first test", "memtest86+", "boot/memtest86+x64.bin", "console=ttyS0", "16M", None, b"Testing:"),
]


def find(build, package, name):
    """The kernel's path, or None."""
    found = subprocess.run([os.path.join(HERE, "../kernels/kernel.sh"), os.path.join(build, "tests/kernels"), package, name],
                           stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def run(command, mark):
    """Seconds until the console says it, None: it does not; and seconds on a CPU until it has ended."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    said = b""
    try:
        while time.monotonic() - start < LIMIT and mark not in said:
            if select.select([child.stdout], [], [], 1)[0]:
                more = os.read(child.stdout.fileno(), 65536)
                if not more:
                    break
                said += more
        took = time.monotonic() - start if mark in said else None
    finally:
        os.kill(child.pid, signal.SIGTERM)
        usage = os.wait4(child.pid, 0)[2]
        child.returncode = 0
    return took, usage.ru_utime + usage.ru_stime


def commands(build, kernel, words, memory, initramfs, work):
    """By name, in the order of the columns; QEMU, which unpacks no kernel, last, if it is there."""
    options = ["-m", memory, "-append", words]
    if initramfs:
        options += ["-initrd", os.path.join(build, "tests/kernels", initramfs)]
    ways = {engine: [os.path.join(build, "ring3"), "run", "--engine", engine, *options, "-kernel", kernel]
            for engine in ENGINES}
    if shutil.which(QEMU):
        if kernel.endswith(".gz"):
            with gzip.open(kernel) as packed, open(os.path.join(work, "kernel"), "wb") as plain:
                plain.write(packed.read())
            kernel = plain.name
        ways["QEMU TCG"] = [QEMU, "-accel", "tcg", "-display", "none", "-serial", "stdio", "-monitor", "none",
                            "-no-reboot", *options, "-kernel", kernel]
    return ways


def speed(file, on_cpu):
    """Millions of instructions that were interpreted; of those a second with the guest, and a second on a CPU."""
    with open(file, encoding="utf-8") as stats:
        vcpu = json.load(stats)["vcpus"][0]
    millions = vcpu["interpreted"] / 1e6
    return millions, millions / (vcpu["guest_ns"] / 1e9), millions / on_cpu


def unikernels(build, passes):
    """A line: medians in milliseconds, of so many times RUNS, and of /bin/true's by turns with them."""
    ring3, image = os.path.join(build, "ring3"), os.path.join(build, "tests/solo5/unikernel.hvt")
    ways = {engine: [ring3, "run", "--engine", engine, image] for engine in UNIKERNEL_ENGINES} | {"/bin/true": ["/bin/true"]}
    times = {way: [] for way in ways}
    for _ in range(passes * RUNS):
        for way, command in ways.items():
            start = time.monotonic()
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
            times[way].append(time.monotonic() - start)
    return ", ".join(f"{way} {statistics.median(took) * 1e3:.1f} ms" for way, took in times.items())


def cell(times, peer):
    """Median, and the ratio to the peer's."""
    if None in times or not times:
        return "no"
    median = statistics.median(times)
    ratio = f", {median / statistics.median(peer):.2f}x" if peer and None not in peer and times is not peer else ""
    return f"{median:.2f} s{ratio}"


def measure(ways, mark, passes, work):
    """Seconds by way, and what speed() says of each pass."""
    times, speeds = {way: [] for way in ways}, []
    stats = os.path.join(work, "stats")
    for _ in range(passes):
        for way, command in ways.items():
            told = ["--stats", stats] if way == "interpret" else []
            took, on_cpu = run([*command[:2], *told, *command[2:]], mark)
            times[way].append(took)
            if told and took:
                speeds.append(speed(stats, on_cpu))
    return times, speeds


def main():
    if len(sys.argv) not in (2, 3) or not all(word.isdigit() for word in sys.argv[2:]):
        sys.exit(f"usage: {sys.argv[0]} BUILD [PASSES]")
    build = sys.argv[1]
    if not os.access(os.path.join(build, "ring3"), os.X_OK):
        sys.exit(f"{sys.argv[0]}: {build} is no build: run 'ninja -C {build}', or name another")
    passes = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    columns = [*ENGINES, "QEMU TCG"]
    print("| " + " | ".join(["kernel", *columns]) + " |\n" + "|---" * (len(columns) + 1) + "|")
    mips = []
    for what, package, name, words, memory, initramfs, mark in KERNELS:
        kernel = find(build, package, name)
        if not kernel:
            print(f"left out, cannot be had: {package}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as work:
            times, speeds = measure(commands(build, kernel, words, memory, initramfs, work), mark, passes, work)
        peer = times.get("QEMU TCG")
        print("| " + " | ".join([what] + [cell(times.get(way, []), peer) for way in columns])
              + " |", flush=True)
        if speeds:
            millions, by_time, by_cpu = (statistics.median(column) for column in zip(*speeds))
            mips.append(f"{what}: {millions:.0f} million, {by_time:.0f} MIPS, {by_cpu:.0f} by CPU time")
    print("", *mips, "a unikernel of Solo5's, exec to exit: " + unikernels(build, passes), sep="\n")


main()

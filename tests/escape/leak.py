#!/usr/bin/env python3
"""
What a guest can read, against what is not its own: leak.py [--plant WHAT] RING3 GUEST WORDS [option of run...]

Two guests of leak.c, or of narrow_leak.c, run side by side until they wait. Then all that they can read is looked through: the pages that
their cells map, and what programs kept of the gate as they found it. No word in it may be an address of a mapping
of the monitor's; no secret of either monitor (words of its environment and arguments, the random bytes that the host's
kernel gave it, of which the C library made its canaries) may lie there or in guest RAM; and a process of user mode
maps no memory of another's. A guest with sites=1 has its runners sent signals while they sleep. WORDS are of the guest's command line. --plant puts there what is not to be there (address,
environment, argument, canary; registers: a kernel that does not clean them): then it must be seen.
"""
import array
import ctypes
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time

GOLDEN = 0x9E3779B97F4A7C15
WORD, HALF = (1 << 64) - 1, (1 << 32) - 1
PAGE = 4096
TGKILL, FUTEX = 234, 202
AT_RANDOM, AT_HWCAP2, HWCAP2_FSGSBASE = 25, 26, 2
GATE, GATE_TURN, GATE_XCHG, GATE_END = 0x3F8000000000, 0x3F8000004000, 0x3F800000B000, 0x3F8014000000
RAM = "/memfd:ring3-ram"
SPARSE = 1 << 30  # a sanitizer's mappings of everything
FALLS_ASLEEP_S = 10
findings, looked, kicked = [], [], []


def fail(text):
    print("FAIL:", text)
    for guest in guests:
        guest.process.kill()
    sys.exit(1)


def mappings(pid):
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps:
        for line in maps:
            span, rights, offset, _, _, *path = line.split(None, 5)
            start, end = (int(word, 16) for word in span.split("-"))
            yield start, end, rights, int(offset, 16), path[0].strip() if path else ""


def read(pid, address, size):
    with open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
        return os.pread(memory.fileno(), size, address)


def keeps_bases():
    """Whether the host knows of WRFSBASE: else what one process wrote may show in the next that the processor runs."""
    with open("/proc/self/auxv", "rb") as file:
        pairs = array.array("Q", file.read())
    return bool(dict(zip(pairs[::2], pairs[1::2])).get(AT_HWCAP2, 0) & HWCAP2_FSGSBASE)


def has_keys():
    """Whether SYSCALLs can do without a signal."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        return " ospke" in file.read()


def sleeps(cell, task):
    """Whether a runner comes to sleep: a program that has just stopped may spin on its words for a while."""
    deadline = time.monotonic() + FALLS_ASLEEP_S
    while time.monotonic() < deadline:
        with open("/proc/%s/task/%s/syscall" % (cell, task), encoding="ascii") as where:
            if where.read().startswith("%d " % FUTEX):
                return True
        os.sched_yield()
    return False


class Guest:
    """A monitor with secrets of its own, and its guest."""

    def __init__(self, ring3, elf, options, number, words):
        self.seed, self.name = secrets.randbits(63), "guest %d" % number
        marks = {name: secrets.token_hex(16).encode() for name in ("environment", "argument")}
        stats = os.path.join(work, marks["argument"].decode())
        append = "attack=leak seed=%d bases=%d %s" % (self.seed, keeps_bases(), words)
        self.process = subprocess.Popen(
            [ring3, "run", "-m", "16M", "--timeout", "60", "--stats", stats, *options, "--append", append, elf],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, R3_MARK=marks["environment"].decode()))
        self.pid, self.kept, self.said, self.stats = self.process.pid, None, b"", stats
        self.programs = int(re.search(r"programs=(\d+)", append).group(1))
        self.secrets, self.users = marks, 0

    def hold(self):
        for line in self.process.stdout:
            self.said += line
            if line.startswith(b"asleep"):
                self.kick()
            if line.startswith(b"held "):
                self.kept = [int(word, 16) for word in line.split()[1:]]
                break
        if not self.kept:
            fail("%s did not get there: %s" % (self.name, self.said.decode()))
        with open("/proc/%d/auxv" % self.pid, "rb") as file:
            pairs = array.array("Q", file.read())
        at = dict(zip(pairs[::2], pairs[1::2]))[AT_RANDOM]
        given = read(self.pid, at, 16)
        # The stack protector's first byte is 0.
        self.secrets.update({"canary": given[1:8], "pointer guard": given[8:16]})
        self.own = [(start, end) for start, end, _, _, path in mappings(self.pid)
                    if end - start < SPARSE and not (start >= GATE and end <= GATE_END) and path != "[vsyscall]"]
        self.lowest, self.highest = min(self.own)[0], max(self.own)[1]
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid), encoding="ascii") as children:
            self.cells = [int(word) for word in children.read().split()]

    def kick(self):
        """A signal to each runner that sleeps, of the kind that the monitor sends, so that the host writes down what its
        registers are. Of one that is awake the monitor knows that it was kicked, and not by whom else."""
        with open("/proc/%d/task/%d/children" % (self.pid, self.pid), encoding="ascii") as children:
            for cell in children.read().split():
                for task in os.listdir("/proc/%s/task" % cell):
                    if task != cell and sleeps(cell, task):
                        kicked.append(task)
                        ctypes.CDLL(None).syscall(TGKILL, int(cell), int(task), int(signal.SIGURG))
        self.process.stdin.write(b"k")
        self.process.stdin.flush()

    def word(self, number):
        return ((self.seed + number) * GOLDEN & WORD).to_bytes(8, "little")

    def shared(self):
        """What the monitor shares with its children: name, path."""
        for number in os.listdir("/proc/%d/fd" % self.pid):
            try:
                name = os.readlink("/proc/%d/fd/%s" % (self.pid, number))
            except OSError:
                continue
            if name.startswith("/memfd:"):
                yield name, "/proc/%d/fd/%s" % (self.pid, number)

    def patched(self):
        with open(self.stats, encoding="ascii") as file:
            return int(re.search(r'"patched": (\d+)', file.read()).group(1))

    def end(self):
        out, _ = self.process.communicate(b"q", timeout=60)
        self.said += out
        return self.process.returncode


def pieces(path):
    """What was ever written of a file in memory: offset, bytes."""
    with open(path, "rb", buffering=0) as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            yield at, os.pread(file.fileno(), end - at, at)
            at = end


def look_for_addresses(guest, where, data):
    for shift in (0, 4):
        words = array.array("Q", data[shift:shift + (len(data) - shift) // 8 * 8])
        for word in {word for word in words if guest.lowest <= word < guest.highest}:
            if any(start <= word < end for start, end in guest.own):
                at = 8 * words.index(word) + shift
                findings.append("%s: %s + %#x: address %#x of the monitor's" % (guest.name, where, at, word))


def look_for_bytes(guest, where, data):
    looked.append(len(data))
    for other in guests:
        for name, secret in other.secrets.items():
            at = data.find(secret)
            if at >= 0:
                findings.append("%s: %s + %#x: %s's %s" % (guest.name, where, at, other.name, name))
        if other is not guest:
            for number in range(2 * other.programs):
                if other.word(number) in data:
                    findings.append("%s: %s: a word of %s" % (guest.name, where, other.name))


def look_at_cell(guest, cell):
    mapped, programs = list(mappings(cell)), set()
    user = any(start == GATE_TURN and "w" not in rights for start, _, rights, _, _ in mapped)
    for start, end, rights, offset, path in mapped:
        if RAM in path:
            first, last = (offset - guest.kept[2]) // PAGE, (offset + end - start - guest.kept[2]) // PAGE
            programs.update(range(max(0, first), min(guest.programs, last)))
        elif not path.startswith("/memfd:"):
            # Names of files, sealed where they were: the pages are not inherited.
            if "r" in rights and any(read(cell, start, end - start)):
                findings.append("%s: cell %d maps %x-%x %s" % (guest.name, cell, start, end, path))
    guest.users += user
    if user and len(programs) > 1:
        findings.append("%s: a process of user mode maps memory of programs %s" % (guest.name, sorted(programs)))


def plant(guest, what):
    cell = guest.cells[-1]
    value = guest.own[-1][0].to_bytes(8, "little") if what == "address" else guest.secrets[what]
    where = next(start for start, _, _, _, path in mappings(cell) if start >= GATE_XCHG and "gate" in path)
    with open("/proc/%d/mem" % cell, "wb", buffering=0) as memory:
        os.pwrite(memory.fileno(), value, where + PAGE - 64)


def look_where_it_landed(guest):
    """SYSENTER comes back with half of an address, if with one of the monitor's, then of its vdso."""
    said = re.search(rb"^landed ([0-9a-f]+)", guest.said, re.M)
    if not said:  # code of 32 bits has one that leads into its kernel
        return
    landed = int(said.group(1), 16)
    for start, end, _, _, path in mappings(guest.pid):
        if path == "[vdso]" and landed - start & HALF < end - start:
            findings.append("%s: SYSENTER came back at %#x, the monitor's vdso lies at %#x" % (guest.name, landed, start))


def look(guest):
    look_where_it_landed(guest)
    kept, size, _ = guest.kept
    for name, path in guest.shared():
        for offset, data in pieces(path):
            where = "%s at %#x" % (name, offset)
            look_for_bytes(guest, where, data)
            # Of RAM, what programs found in the gate: elsewhere any number may be.
            if RAM in name:
                data = data[max(0, kept - offset):max(0, kept + size - offset)]
            look_for_addresses(guest, where, data)
    for cell in guest.cells:
        look_at_cell(guest, cell)


planted = None
if sys.argv[1] == "--plant":
    planted = sys.argv[2]
    del sys.argv[1:3]
ring3, elf, words, *options = sys.argv[1:]
guests = []
if planted == "registers":
    words += " careless=1"
if "programs=40" in words:
    resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))  # fewer processes than programs
with tempfile.TemporaryDirectory() as work:
    guests += [Guest(ring3, elf, options, number, words) for number in (1, 2)]
    for guest in guests:
        guest.hold()
    if planted and planted != "registers":
        plant(guests[0], planted)
    for guest in guests:
        look(guest)
    statuses = [guest.end() for guest in guests]
    print("%d pieces, %d bytes looked through, %d processes of user mode, %d signals" % (
        len(looked), sum(looked), sum(guest.users for guest in guests), len(kicked)))
    if "sites=1" in words:
        print("%d places patched" % guests[0].patched())
        if not kicked or (has_keys() and guests[0].patched() < guests[0].programs):
            findings.append("programs did not leave as they were to")
print("\n".join(findings))
print(guests[0].said.decode())
bad = any(b"\nnot ok" in guest.said for guest in guests)
if planted:
    sys.exit(0 if (bad if planted == "registers" else findings) else "FAIL: what was planted was not seen")
if findings or bad or any(statuses):
    sys.exit("FAIL: %d findings, statuses %s" % (len(findings), statuses))

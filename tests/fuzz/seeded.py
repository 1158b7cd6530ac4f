#!/usr/bin/env python3
"""Random input to ring3 from outside, each run the same for the same seed:

    seeded.py commands|images|packed|unikernels|disks|guest|traces|words|races SEED SECONDS RING3 ELF...

`commands`: command lines; `images`: kernels' files with fields and bytes changed; `packed`: the same behind gzip, whose
own bytes change too; `unikernels`: Solo5's, above all their notes; `disks`: overlays, whose disk must stay as it is; `guest`: the guest of guest.c, which asks
for random ports and hypercalls on each engine; `traces`: traces with bytes and lines changed, for `ring3 report`; `words` and `races`: guests
that write random words into the gate, or change code, tables, descriptors and arguments while the monitor looks, beside a neighbour
that must not notice (../escape/seeded.c). ring3 may refuse all of it and kill any guest, but it may not die of a
signal, hang, report an error of its own (a sanitizer's, or status 125 where a guest runs) or leave a message that does
not begin with its name. What went wrong is printed with the seed and number that make it again."""
import gzip
import os
import random
import struct
import subprocess
import sys
import tempfile
import time

SLOW = 60.0  # seconds: a run that takes longer hangs
EDGES = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0xfff, 0x1000, 0x7fff, 0x8000, 0xffff, 0x100000, 0x200000, 0x7fffffff,
         0x80000000, 0xffffffff, 1 << 47, (1 << 47) - 4096, 1 << 63, (1 << 64) - 1]


class Found(Exception):
    pass


def run(arguments, work):
    """Exit status and standard error of one run; Found if ring3 itself went wrong."""
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=SLOW, cwd=work)
    except subprocess.TimeoutExpired:
        raise Found("it hangs")
    if done.returncode < 0 or done.returncode in (134, 139):
        raise Found("it died, status %d: %s" % (done.returncode, done.stderr[-600:]))
    if b"runtime error" in done.stderr or b"Sanitizer" in done.stderr:
        raise Found("a sanitizer reports: %s" % done.stderr[-1200:])
    return done.returncode, done.stderr


# --------------------------------------------------------------------------------------------------- command lines

VERBS = ["run", "run", "run", "report", "doctor", "classify", "compare", "lockstep", "help", "--version", "", "nonsense"]
OPTIONS = ["--engine", "--transport", "-m", "--memory", "--append", "--module", "--smp", "--cpus", "--timeout", "--core",
           "--stats", "--tap", "--junit", "--help", "-kernel", "-append", "-initrd", "-smp", "-nographic", "--narrate",
           "--trace", "--trace-file", "--gdb", "--json", "--html", "--", "-x", "--unknown"]
VALUES = ["", "0", "1", "-1", "2", "64", "64M", "2M", "1T", "1e9", "0x10", "nan", "18446744073709551615", "9" * 20,
          "%s%n", "A" * 5000, "all", "all,-all", ",,,", "exit,irq", "rip=0-ffffffffffffffff", "cpl=3", "symbol=",
          "trap", "hybrid", "interpret", "translate", "signal", "ptrace", "auto", "/dev/null", "/", "x.jsonl", "x.pftrace",
          "unix:" + "p" * 200, "a\nb", "\u00ff"]


def commands(rnd, ring3, elfs, work):
    verb = rnd.choice(VERBS)
    line = [ring3, verb]
    for _ in range(rnd.randrange(6)):
        line.append(rnd.choice(OPTIONS))
        if rnd.randrange(3):
            line.append(rnd.choice(VALUES))
    # A debugger would be waited for.
    line = [word for word in line if word != "--gdb"]
    if verb in ("run", "compare", "lockstep") and rnd.randrange(4):
        line += ["--timeout", "1", elfs[0]]
    elif verb in ("classify", "doctor") and rnd.randrange(4):
        line.append("--help")
    run(line, work)


# ---------------------------------------------------------------------------------------------------------- images

HEADER, SEGMENT, SECTION = 64, 56, 64


def change(rnd, image):
    """One change: to a header, a segment's or section's header, bytes of a section, or the length."""
    segments, = struct.unpack_from("<Q", image, 32)
    sections, = struct.unpack_from("<Q", image, 40)
    segment_count, section_count = struct.unpack_from("<H", image, 56)[0], struct.unpack_from("<H", image, 60)[0]
    places = {
        "header": (16, HEADER - 16), "segments": (segments, SEGMENT * segment_count),
        "sections": (sections, SECTION * section_count), "anywhere": (0, len(image)),
    }
    kind = rnd.choice(list(places) + ["cut"])
    if kind == "cut":
        del image[rnd.randrange(HEADER, len(image)):]
        return
    start, length = places[kind]
    value = rnd.choice(EDGES + [rnd.getrandbits(64), rnd.getrandbits(16), rnd.randrange(len(image))])
    width = rnd.choice([1, 2, 4, 8])
    at = start + rnd.randrange(max(1, length)) // width * width
    if at + width <= len(image):
        image[at:at + width] = struct.pack("<Q", value)[:width]


def dwords(*values):
    return struct.pack("<%dI" % len(values), *(value & 0xffffffff for value in values))


def near(rnd):
    return rnd.choice(EDGES + [0x200000 + rnd.randrange(0x4000), 0x100000 + rnd.randrange(0x2000)])


def foreign(rnd, image):
    """Makes another boot protocol's kernel of it, with a header whose numbers are any."""
    note = image.find(b"ring3\0\0\0")
    if note > 0:
        image[note - 12:note + 12] = struct.pack("<III4sQ", 4, 8, 18, b"Xen", near(rnd))
    kind = rnd.randrange(5)
    at = 4 * rnd.randrange(0x200, 0x600)
    if kind == 0:
        flags = rnd.choice([0, 3, 7, 1 << 16, (1 << 16) | 7, rnd.getrandbits(32)])
        header = dwords(0x1badb002, flags, -0x1badb002 - flags, near(rnd), near(rnd), near(rnd), near(rnd), near(rnd))
    elif kind == 1:
        tags = dwords(*(rnd.choice([rnd.randrange(12), 8, 12, 24, near(rnd)]) for _ in range(rnd.randrange(16))))
        length = rnd.choice([16 + len(tags), 16 + len(tags), near(rnd)])
        at &= ~7
        header = dwords(0xe85250d6, 0, length, -0xe85250d6 - length) + tags
    elif kind == 2:
        at, header = 0x202, b"HdrS" + dwords(rnd.choice([0x200, 0x206, 0x20c, 0x20f]), *(near(rnd) for _ in range(28)))
    elif kind == 3:
        del image[512:]
        at, header = 510, b"\x55\xaa"
    else:
        return
    image[at:at + len(header)] = header


def content(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def changed(rnd, image):
    for _ in range(rnd.choice([1, 1, 2, 3, 8])):
        if len(image) > HEADER:
            change(rnd, image)
    return image


def images(rnd, ring3, elfs, work):
    image = content(rnd.choice(elfs))
    if not rnd.randrange(3):
        foreign(rnd, image)
    boot(rnd, ring3, changed(rnd, image), work)


def boot(rnd, ring3, image, work):
    path = os.path.join(work, "image.elf")
    with open(path, "wb") as file:
        file.write(image)
    line = [ring3, "run", "-m", rnd.choice(["2M", "16M", "64M"]), "--timeout", "2", "--engine",
            rnd.choice(["trap", "interpret", "hybrid", "translate"]), "--append", rnd.choice(["pv=on", "pv=off"])]
    if not rnd.randrange(8):
        line += ["--core", os.path.join(work, "core")]
    if not rnd.randrange(8):
        line += ["--trace", "all", "--trace-file", os.path.join(work, "trace" + rnd.choice([".jsonl", ".pftrace"]))]
    status, errors = run(line + [path], work)
    if status == 126 and not errors.startswith(b"ring3: "):
        raise Found("refused without saying why: %s" % errors[-300:])


def scatter(rnd, data, start, end, times):
    """Bytes, or words, of it become others."""
    for _ in range(times):
        width = rnd.choice([1, 1, 2, 4, 8])
        at = rnd.randrange(start, max(start + 1, end - width))
        value = rnd.choice(EDGES + [rnd.getrandbits(64)])
        data[at:at + width] = struct.pack("<Q", value)[:width]


def gzip_header(rnd):
    """With any of the parts that it may have, whole or without an end."""
    flags = rnd.choice([0, 2, 4, 8, 16, 28, 31, rnd.randrange(256)])
    header = struct.pack("<BBBBIBB", 31, 139, rnd.choice([8, 8, 8, rnd.randrange(256)]), flags, rnd.getrandbits(32), 0, 3)
    if flags & 4:
        extra = rnd.choice([0, 3, 0xffff])
        header += struct.pack("<H", extra) + b"x" * rnd.choice([extra, extra // 2])
    for flag in (8, 16):
        if flags & flag:
            header += b"n" * rnd.choice([0, 5, 70000]) + rnd.choice([b"\0", b"\0", b""])
    return header + (b"\0\0" if flags & 2 else b"")


def packed(rnd, ring3, elfs, work):
    image = content(rnd.choice(elfs))
    if not rnd.randrange(4):
        changed(rnd, image)
    whole = bytearray(gzip.compress(bytes(image), rnd.choice([1, 9]), mtime=0))
    how = rnd.randrange(5)
    if how == 0:
        whole[:10] = gzip_header(rnd)
    elif how == 1: # two in one file, or what is none
        whole += rnd.choice([bytes(whole), bytes(whole[:rnd.randrange(len(whole))]), b"\0" * 4096])
    elif how == 2:
        del whole[rnd.randrange(len(whole)):]
    elif how == 3: # what its end says of length and sum
        scatter(rnd, whole, len(whole) - 8, len(whole), 2)
    else:
        scatter(rnd, whole, 0, len(whole), rnd.choice([1, 2, 8]))
    boot(rnd, ring3, whole, work)


def unikernels(rnd, ring3, elfs, work):
    image = content(rnd.choice(elfs))
    if rnd.randrange(4):
        at = image.find(rnd.choice([b"ABI1", b"MFT1"]))
        scatter(rnd, image, at - 12, at + rnd.choice([16, 40, 300]), rnd.choice([1, 2, 4]))
    else:
        changed(rnd, image)
    boot(rnd, ring3, image, work)


# ----------------------------------------------------------------------------------------------------------- disks

CLUSTER = 4096


def disk_run(ring3, elf, engine, disk, overlay, words, work):
    return run([ring3, "run", "-m", "16M", "--timeout", "5", "--engine", engine, "--append", "pv=off " + words, "--disk",
                "%s,overlay=%s" % (disk, overlay), elf], work)


def disks(rnd, ring3, elfs, work):
    disk, overlay, kept = (os.path.join(work, name) for name in ("disk", "overlay", "kept"))
    if not os.path.exists(kept):
        with open(disk, "wb") as file:
            file.write(b"\0" * rnd.choice([1 << 20, (1 << 20) + 512]))
        status, errors = disk_run(ring3, elfs[0], "interpret", disk, kept, "word=0 write=7", work)
        if status:
            raise Found("no overlay was made: %s" % errors[-300:])
    before, size = content(disk), os.path.getsize(kept)
    with open(kept, "rb") as file:
        data = bytearray(file.read(3 * CLUSTER))
    # Most of the time its header stays, so that it is believed.
    start = rnd.choice([0, CLUSTER, CLUSTER, CLUSTER])
    scatter(rnd, data, start, rnd.choice([start + 64, start + 256, len(data)]), rnd.choice([1, 2, 8]))
    with open(overlay, "wb") as file:
        file.write(data)
        file.truncate(rnd.choice([size, size, len(data), CLUSTER, CLUSTER + 1, 100, rnd.randrange(size), 1 << 40]))
    engine = rnd.choice(["trap", "interpret", "hybrid", "translate"])
    for _ in range(2): # what the first leaves is what the second begins with
        status, errors = disk_run(ring3, elfs[0], engine, disk, overlay, "word=7 write=%d" % rnd.randrange(100), work)
        if status in (125, 126) and not errors.startswith(b"ring3: "):
            raise Found("refused without saying why: %s" % errors[-300:])
    if content(disk) != before:
        raise Found("the disk below an overlay has changed")


# ---------------------------------------------------------------------------------------------------------- guests

def guest(rnd, ring3, elfs, work):
    what, pv = rnd.choice([("ports", "on"), ("ports", "off"), ("calls", "on")])
    engine = rnd.choice([["--engine", "trap"], ["--engine", "trap", "--transport", "ptrace"],
                         ["--engine", "interpret"], ["--engine", "hybrid"], ["--engine", "translate"]])
    words = "pv=%s what=%s seed=%d count=2000" % (pv, what, rnd.getrandbits(32))
    status, errors = run([ring3, "run", "-m", "16M", "--timeout", "3", "--append", words] + engine + [elfs[0]], work)
    if status == 125:
        raise Found("%s %s: the host is blamed: %s" % (engine, words, errors[-300:]))
    # What it reads in lands anywhere in its memory: such a guest may well run in circles, until its time is over.


# ---------------------------------------------------------------------------------------------------------- traces

def traces(rnd, ring3, elfs, work):
    form = rnd.choice(["jsonl", "pftrace"])
    whole = os.path.join(work, "whole." + form)
    if not os.path.exists(whole):
        run([ring3, "run", "--trace", "all", "--trace-file", whole, elfs[0]], work)
    with open(whole, "rb") as file:
        trace = bytearray(file.read())
    if not trace:
        raise Found("no trace was written")
    for _ in range(rnd.choice([1, 2, 8, 64])):
        at = rnd.randrange(len(trace))
        if rnd.randrange(4):
            trace[at] = rnd.choice([rnd.randrange(256), ord(rnd.choice('{}[]",:\\0-9e'))])
        else:
            del trace[at:at + rnd.choice([1, 2, 100, len(trace)])]
            trace += b"\n"
    path = os.path.join(work, "trace." + form)
    with open(path, "wb") as file:
        file.write(trace)
    run([ring3, "report", path], work)


# ------------------------------------------------------------------------------------------- gate words and races

neighbours = []


def beside_neighbour(ring3, elf):
    """A guest that works all the while; main asks at the end how it is."""
    if not neighbours:
        neighbours.append(subprocess.Popen([ring3, "run", "--timeout", "1000", elf], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE))


def attack(ring3, elfs, work, words, options, good):
    beside_neighbour(ring3, elfs[1])
    line = [ring3, "run", "-m", "16M", "--timeout", "5", "--append", words] + options + [elfs[0]]
    status, errors = run(line, work)
    if status not in good:
        raise Found("%s: status %d: %s" % (" ".join(line[6:]), status, errors[-600:]))


# Its own memory is open to its user mode: such a kernel may panic, break a rule, or run in circles.
OWN_FAULT = (0, 101, 120, 124)


def words(rnd, ring3, elfs, work):
    if rnd.randrange(2):
        claims(rnd, ring3, elfs, work)
        return
    kernel = rnd.randrange(3) == 0
    options, extra = rnd.choice([([], "pv=on"), ([], "pv=on direct=1"), ([], "pv=off"),
                                 (["--transport", "ptrace"], "pv=on"), (["--engine", "hybrid"], "pv=off"),
                                 (["--engine", "translate"], "pv=on")])
    if kernel and "--engine" not in options:
        extra += " kernel=1"
    attack(ring3, elfs, work, "attack=seeded_words seed=%d %s" % (rnd.getrandbits(32), extra), options,
           OWN_FAULT if "kernel" in extra else (0, 124))


# An exit whose frame is honest but for a word or two.
def claims(rnd, ring3, elfs, work):
    options, extra = rnd.choice([([], "pv=on"), ([], "pv=on direct=1"), ([], "pv=off"),
                                 (["--engine", "hybrid"], "pv=on"), (["--engine", "translate"], "pv=off")])
    attack(ring3, elfs, work, "attack=seeded_claims seed=%d %s" % (rnd.getrandbits(32), extra), options, (0, 124))


def races(rnd, ring3, elfs, work):
    engine = rnd.choice(["trap", "hybrid", "translate", "translate upper", "interpret"])
    words = "attack=seeded_races seed=%d idt=%d" % (rnd.getrandbits(32), engine != "trap")
    if engine == "translate upper":
        attack(ring3, [elfs[2], elfs[1]], work, words + " pv=off view=1", ["--engine", "translate"], OWN_FAULT)
    else:
        attack(ring3, elfs, work, words + " pv=" + rnd.choice(["on", "off"]), ["--engine", engine], OWN_FAULT)


def neighbour_is_unharmed():
    for neighbour in neighbours:
        out, _ = neighbour.communicate(b"q", timeout=SLOW)
        if neighbour.returncode or b"unharmed" not in out:
            print("the neighbour was harmed: status %d, %s" % (neighbour.returncode, out[-300:]))
            return False
    return True


def main():
    target, seed, seconds, ring3, elfs = (globals()[sys.argv[1]], int(sys.argv[2]), float(sys.argv[3]),
                                          os.path.abspath(sys.argv[4]), [os.path.abspath(elf) for elf in sys.argv[5:]])
    end, number, bad = time.monotonic() + seconds, 0, 0
    with tempfile.TemporaryDirectory() as work:
        while time.monotonic() < end or not number:
            number += 1
            try:
                target(random.Random("%d %d" % (seed, number)), ring3, elfs, work)
            except Found as found:
                bad += 1
                print("%s, seed %d, number %d: %s" % (sys.argv[1], seed, number, found), flush=True)
    unharmed = neighbour_is_unharmed() # which also ends it
    print("%d runs, %d bad" % (number, bad))
    return 0 if unharmed and not bad else 1


sys.exit(main())

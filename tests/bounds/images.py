#!/usr/bin/env python3
"""
Images of absurd size, that take nothing on the disk: images.py RING3
Each is refused, or its guest crashes and is reported, soon and with little memory.
"""

import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

ring3 = sys.argv[1]
SIZE = 8 << 30
PT_LOAD, PT_DYNAMIC, PT_NOTE = 1, 2, 4
SHT_SYMTAB, SHT_STRTAB = 2, 3
PN_XNUM = 0xffff
CODE, ADDRESS = 0x1000, 0x200000
REFUSED, CRASHED = 126, 120


def header(phoff, phnum, shoff=0, shnum=0):
    return struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, ADDRESS, phoff, shoff, 0, 64, 56, phnum, 64, shnum,
                       0)


def program(kind, offset, size, address=0, memory=0):
    return struct.pack("<IIQQQQQQ", kind, 7, offset, address, address, size, memory, 4)


def section(kind=0, offset=0, size=0, link=0, info=0):
    return struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, offset, size, link, info, 8, 24)


LOAD = program(PT_LOAD, CODE, 0x1000, ADDRESS, 0x1000)


def note(at):
    at(0, header(64, 2) + LOAD + program(PT_NOTE, 0, SIZE))
    return REFUSED


def notes(at):
    """Each of them small enough."""
    count = 4000
    at(0, header(0x4000, count + 1))
    at(0x4000, LOAD + b"".join(program(PT_NOTE, 0x100000 + (n << 20), 1 << 20) for n in range(count)))
    return REFUSED


def dynamic(at):
    at(0, header(64, 2) + LOAD + program(PT_DYNAMIC, 0x10000, SIZE - 0x10000))
    at(0x10000, struct.pack("<QQ", 1, 0))
    return REFUSED


def symbols(at):
    at(0, header(64, 1, 0x3000, 3) + LOAD)
    at(0x3000, section() + section(SHT_SYMTAB, 0x10000, SIZE - 0x10000, 2) + section(SHT_STRTAB, 0x2000, 16))
    return CRASHED


def strings(at):
    at(0, header(64, 1, 0x3000, 3) + LOAD)
    at(0x3000, section() + section(SHT_SYMTAB, 0x8000, 48, 2) + section(SHT_STRTAB, 0x10000, SIZE - 0x10000))
    at(0x8000, bytes(24) + struct.pack("<IBBHQQ", 1, 0x12, 0, 1, ADDRESS, 16))
    return CRASHED


def names(at):
    """Many symbols that all have the same name, of megabytes."""
    count, length = 600000, 60 << 20
    at(0, header(64, 1, 0x3000, 3) + LOAD)
    at(0x3000, section() + section(SHT_SYMTAB, 0x10000, count * 24, 2) + section(SHT_STRTAB, 0x1000000, length))
    at(0x10000, struct.pack("<IBBHQQ", 1, 0x12, 0, 1, ADDRESS, 16) * count)
    at(0x1000000, b"\0" + b"n" * (length - 2) + b"\0")
    return CRASHED


def headers(at):
    count = (SIZE - 0x4000) // 56
    at(0, header(0x4000, PN_XNUM, 0x3000, 1))
    at(0x3000, section(size=1, info=count))
    at(0x4000 + (count - 1) * 56, LOAD)
    return REFUSED


def sections(at):
    at(0, header(64, 1, 0x3000, 0) + LOAD)
    at(0x3000, section(size=(SIZE - 0x3000) // 64))
    return REFUSED


def run(path, make):
    with open(path, "wb") as file:
        def at(offset, data):
            file.seek(offset)
            file.write(data)
        at(CODE, b"\x0f\x0b")
        expected = make(at)
        file.truncate(SIZE)
    since = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    process = subprocess.run([ring3, "run", "--timeout", "60", path], stdin=subprocess.DEVNULL, capture_output=True,
                             check=False)
    took = time.monotonic() - since
    peak = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) >> 10
    print("%-8s status %3d after %5.2f s, %d MiB: %s" % (make.__name__, process.returncode, took, peak,
                                                       process.stderr.decode(errors="replace").splitlines()[:1]))
    return process.returncode == expected and took < 40 and peak < 300


with tempfile.TemporaryDirectory() as work:
    results = [run(os.path.join(work, "image"), make)
               for make in (note, notes, dynamic, symbols, strings, names, headers, sections)]
sys.exit(0 if all(results) else "FAIL")

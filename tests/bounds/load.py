#!/usr/bin/env python3
"""A kernel of gigabytes is loaded: load.py HOW RING3"""

import os
import struct
import subprocess
import sys
import tempfile

import common

how, ring3 = sys.argv[1:]
SIZE = 3 << 30


def until_reading(process):
    """Some of it has been read: that takes more processor time than all that comes before."""
    def ticks():
        try:
            with open("/proc/%d/stat" % process.pid, encoding="ascii") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
                return int(fields[11]) + int(fields[12])
        except (OSError, IndexError, ValueError):
            return 0
    while process.poll() is None and ticks() < 10:
        pass


with tempfile.TemporaryDirectory() as work:
    image = os.path.join(work, "image")
    with open(image, "wb") as file:
        file.write(struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x200000, 64, 0, 0, 64, 56, 1, 64, 0, 0))
        file.write(struct.pack("<IIQQQQQQ", 1, 7, 0x1000, 0x200000, 0x200000, SIZE - 0x1000, SIZE - 0x1000, 8))
        file.truncate(SIZE)
    common.answers(how, lambda more: subprocess.Popen([ring3, "run", *more, "-m", "4G", image], stdin=subprocess.DEVNULL,
                                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
                   until_reading, 0)

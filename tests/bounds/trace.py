#!/usr/bin/env python3
"""A trace on a stderr that nobody reads: trace.py HOW RING3 GUEST"""

import os
import subprocess
import sys
import time

import common

how, ring3, guest = sys.argv[1:]
unread = []


def start(more):
    ends = os.pipe()
    unread.append(ends)
    return subprocess.Popen([ring3, "run", *more, "--trace", "all", "--append", "pv=on attack=exits", guest],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=ends[1])


def until_full(process):
    """Nothing more is written for a while: the monitor waits for a reader."""
    import array
    import fcntl
    import termios
    before, count = -1, array.array("i", [0])
    while process.poll() is None and (count[0] != before or not count[0]):
        before = count[0]
        time.sleep(0.1)
        fcntl.ioctl(unread[-1][0], termios.FIONREAD, count)


common.answers(how, start, until_full, 0)

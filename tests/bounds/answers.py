#!/usr/bin/env python3
"""
A guest that has the monitor do something long: answers.py HOW RING3 GUEST [option of ring3 run...]
HOW is int, term or timeout.
"""

import subprocess
import sys

import common

how, ring3, guest, *options = sys.argv[1:]


def start(more):
    return subprocess.Popen([ring3, "run", *more, *options, guest], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


common.answers(how, start)

#!/usr/bin/env python3
"""A debugger that asks much and reads nothing: gdb.py (int|term|deaf|crowd) RING3 GUEST"""

import os
import resource
import select
import socket
import subprocess
import sys
import tempfile
import time

import common

how, ring3, guest = sys.argv[1:]
peers = []


def packet(body):
    return b"$%s#%02x" % (body, sum(body) & 255)


QUESTION = packet(b"qXfer:features:read:target.xml:0,7ff") * 64


def connect(path):
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    return peer


def start(more):
    path = os.path.join(tempfile.mkdtemp(), "gdb")
    process = subprocess.Popen([ring3, "run", *more, "--gdb", "unix:" + path, "-S", "--engine", "interpret", "--append",
                                "pv=on attack=exits", guest],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if b"gdb may connect" not in process.stderr.readline():
        common.fail("no port for the debugger")
    process.path = path
    return process


def until_stuck(process):
    """The monitor takes no more questions, since it waits with an answer."""
    peer = connect(process.path)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    peer.setblocking(False)
    peers.append(peer)
    while select.select([], [peer], [], 0.3)[1]:
        try:
            peer.send(QUESTION)
        except BlockingIOError:
            time.sleep(0.01)


def ask(process):
    """A debugger that is served, and hears of it."""
    peer = connect(process.path)
    peer.settimeout(common.GIVE_UP)
    peer.send(packet(b"?"))
    answer = peer.recv(64)
    if not answer.startswith(b"+"):
        common.kill(process)
        common.fail("a debugger hears %r" % answer)
    return peer


def deaf():
    """It is hung up on after a while, and the next one is served."""
    process = start(["--timeout", "300"])
    until_stuck(process)
    ask(process)
    common.kill(process)


def processor_time(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def crowd():
    """Where no descriptor is left a debugger is turned away, and the monitor rests."""
    process = start(["--timeout", "300"])
    first = ask(process)
    held = {int(name) for name in os.listdir("/proc/%d/fd" % process.pid)}
    first.close()
    while {int(name) for name in os.listdir("/proc/%d/fd" % process.pid)} == held:
        time.sleep(0.01)
    held = {int(name) for name in os.listdir("/proc/%d/fd" % process.pid)}
    free = min(set(range(len(held) + 1)) - held)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free, free))
    peer = connect(process.path)
    peer.settimeout(common.GIVE_UP)
    gone = peer.recv(64) == b""
    before = processor_time(process)
    time.sleep(1)
    spent = processor_time(process) - before
    common.kill(process)
    if not gone:
        common.fail("it was not turned away")
    if spent > 0.5:
        common.fail("%.2f s of the processor in a second of nothing" % spent)


if how == "deaf":
    deaf()
elif how == "crowd":
    crowd()
else:
    common.answers(how, start, until_stuck, 0)

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


def limit_files(process, number):
    """What it may open is numbered below this from now on; how it was before."""
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (number, hard))
    return soft


def rests(process, what):
    before = processor_time(process)
    time.sleep(1)
    spent = processor_time(process) - before
    if spent > 0.1:
        common.kill(process)
        common.fail("%.2f s of the processor in a second of nothing, %s" % (spent, what))


def crowded(keep_spare):
    """A guest that has not begun, where no descriptor is left: the numbers held, and the limit as it was."""
    process = start(["--timeout", "300"])
    while len(os.listdir("/proc/%d/task" % process.pid)) < 2:
        time.sleep(0.01)  # the watcher comes last
    held = {int(name) for name in os.listdir("/proc/%d/fd" % process.pid)}
    return process, limit_files(process, min(set(range(len(held) + 1)) - held) if keep_spare else 3)


def crowd():
    """Where no descriptor is left a debugger is turned away, or waits until there is one; the monitor rests."""
    process, _ = crowded(True)
    peer = connect(process.path)
    peer.settimeout(common.GIVE_UP)
    if peer.recv(64) != b"":
        common.fail("it was not turned away")
    rests(process, "when it was turned away")
    common.kill(process)
    process, before = crowded(False)
    peer = connect(process.path)
    rests(process, "with no way to turn it away")
    limit_files(process, before)
    peer.settimeout(common.GIVE_UP)
    peer.send(packet(b"?"))
    if not peer.recv(64).startswith(b"+"):
        common.fail("it is not served")
    common.kill(process)


if how == "deaf":
    deaf()
elif how == "crowd":
    crowd()
else:
    common.answers(how, start, until_stuck, 0)

#!/usr/bin/env python3
"""Somebody wants to see a guest that hangs:  ask.py RING3 KERNEL ENGINE CASE"""
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile

ring3, kernel, engine, case = sys.argv[1:]
PLACE = ["At RIP 0x", " <spin+"]
SHORT = PLACE + ["Backtrace:", " spin+", "crashes.c:", " crash_spin+", " main+"]
WHOLE = PLACE + ["Registers of vCPU 0", "Stack from RSP up:", "Last "] + SHORT[2:]


def start(*options, crash="spin"):
    process = subprocess.Popen([ring3, "run", "--timeout", "60", "--engine", engine, *options, "--append",
                                "crash=" + crash, kernel],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if crash == "spin":
        assert process.stdout.readline() == b"spinning\n"
    return process


def in_order(texts, said):
    at = 0
    for text in texts:
        found = said.find(text, at)
        assert found >= 0, "%r is not there, or not in order:\n%s" % (text, said)
        at = found + len(text)


def end(process, status, number=None):
    if number:
        process.send_signal(number)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == status, (process.returncode, said)
    return said


def interrupt():
    """By hand, at a terminal, it says a little more than to a script."""
    said = end(start(), 130, signal.SIGINT)
    in_order(["ring3: the guest was ended by a signal (Interrupt)"] + PLACE, said)
    assert "Backtrace" not in said, said
    master, terminal = pty.openpty()
    process = subprocess.Popen([ring3, "run", "--timeout", "60", "--engine", engine, "--append", "crash=spin", kernel],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    assert process.stdout.readline() == b"spinning\n"
    process.send_signal(signal.SIGINT)
    said = b""
    try:
        while more := os.read(master, 65536):
            said += more
    except OSError:  # nobody has the terminal any more
        pass
    said = said.decode()
    assert process.wait(60) == 130
    in_order(["ring3: the guest was ended by a signal (Interrupt)"] + SHORT + ["SIGQUIT", "kill -USR1"], said)
    assert "Stack from" not in said and "Last " not in said, said


def quit():
    in_order(["ring3: the guest was ended by a signal (Quit)"] + WHOLE, end(start(), 131, signal.SIGQUIT))


def terminate():
    said = end(start(), 143, signal.SIGTERM)
    in_order(["ring3: the guest was ended by a signal (Terminated)"] + PLACE, said)
    assert "Backtrace" not in said, said


def asked():
    """It runs on, and answers each time."""
    process = start()
    for _ in range(3):
        process.send_signal(signal.SIGUSR1)
        said = ""
        while not re.search(r" main\+0x.*\n", said):
            line = process.stderr.readline().decode()
            assert line, said
            said += line
        in_order(["engine " + engine, "ring3: the guest runs, and is here"] + WHOLE, said)
        assert process.poll() is None
    process.kill()
    process.wait()


def core():
    """Written whatever the end, and when asked."""
    with tempfile.TemporaryDirectory() as work:
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 131)):
            path = "%s/core.%d" % (work, number)
            assert "ring3: core in " + path in end(start("--core", path), status, number)
            assert os.path.getsize(path)
        path = work + "/late"
        assert "ring3: core in " + path in end(start("--core", path, "--timeout", "1"), 124)
        path = work + "/panic"
        assert "ring3: core in " + path in end(start("--core", path, crash="panic"), 101)
        path = work + "/asked"
        process = start("--core", path)
        process.send_signal(signal.SIGUSR1)
        while "ring3: core in " + path not in process.stderr.readline().decode():
            pass
        process.kill()
        process.wait()


def panic():
    """In one piece: a few writes, not one a line, between which a reader may be gone, or wait for the end."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([ring3, "run", "--engine", engine, "--append", "crash=panic", kernel],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writer)
    writer.close()
    said = []
    while more := reader.recv(65536):
        said.append(more)
    assert process.wait(60) == 101
    in_order(["ring3: the guest panicked", "Backtrace:", " main+"], b"".join(said).decode())
    assert len(said) <= 6, said


globals()[case]()
